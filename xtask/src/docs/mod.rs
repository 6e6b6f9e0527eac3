//! The book: pages that come from the code, links that lead somewhere, and a tutorial and how-tos that are run.

mod how_to;
mod links;
mod markdown;
mod quoted;
mod reader;
mod shown;
mod tutorial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::checks;
use crate::e2e::world;
use crate::process::{run, works};
use crate::suite::Outcome;
use crate::workspace::{root, target};

/// Why the book was not built: known, and told each time.
pub(crate) const NO_MDBOOK: &str = "mdBook is not installed here";

/// The pages that `doorward reference` writes.
const GENERATED: [&str; 4] = ["settings.md", "endpoints.md", "cli.md", "openapi.json"];

fn reference() -> PathBuf {
    root().join("docs/src/reference")
}

/// `cargo xtask docs`: writes the generated pages anew.
pub(crate) fn regenerate() -> Result<()> {
    world::build()?;
    write_reference(&reference())
}

/// The suite.
pub(crate) fn suite() -> Result<Outcome> {
    let mut outcome = checks::rustdoc()?;
    world::build()?;
    outcome.add(generated_pages()?);
    outcome.add(links::check(&root())?);
    outcome.add(tutorial::run()?);
    outcome.add(how_to::run()?);
    if works("mdbook", &["--version"]) {
        outcome.add(book()?);
    } else {
        outcome.not_offered.push(format!("the book: {NO_MDBOOK}"));
    }
    Ok(outcome)
}

fn write_reference(folder: &Path) -> Result<()> {
    run(Command::new(world::binary("doorward"))
        .arg("reference")
        .arg(folder))
}

/// What is committed is what the code says now.
fn generated_pages() -> Result<Outcome> {
    let fresh = target().join("docs/reference");
    write_reference(&fresh)?;
    let mut outcome = Outcome::default();
    for name in GENERATED {
        let committed = reference().join(name);
        let written =
            fs::read_to_string(&committed).with_context(|| format!("{} is missing", committed.display()))?;
        if written == fs::read_to_string(fresh.join(name))? {
            outcome.passed += 1;
        } else {
            outcome.failures.push(format!(
                "docs/src/reference/{name} is not what the code says; run `cargo xtask docs`"
            ));
        }
    }
    Ok(outcome)
}

/// Builds the book where mdBook is installed; the pages can be read without it.
fn book() -> Result<Outcome> {
    run(Command::new("mdbook")
        .arg("build")
        .arg(root().join("docs"))
        .arg("--dest-dir")
        .arg(target().join("book")))?;
    Ok(Outcome {
        passed: 1,
        ..Outcome::default()
    })
}
