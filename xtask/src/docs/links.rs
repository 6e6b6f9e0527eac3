//! Relative links in every Markdown file of the repository: the file is there, and so is the heading, or the test
//! that the link names. And the code that a page shows of a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::markdown::{anchors, includes, named_functions, targets};
use super::quoted;
use crate::suite::Outcome;

/// What is not ours.
const ELSEWHERE: [&str; 4] = ["target", "node_modules", "data", "__pycache__"];

/// Checks every Markdown file below `root`. A file without a dead link counts as one test passed.
pub(super) fn check(root: &Path) -> Result<Outcome> {
    let mut pages = Vec::new();
    collect(root, &mut pages)?;
    pages.sort();
    let mut outcome = Outcome::default();
    for page in pages {
        let text = fs::read_to_string(&page)?;
        let dead = dead_links(&page, &text);
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        outcome.add(quoted::check(root, &name, &text));
        if dead.is_empty() {
            outcome.passed += 1;
        }
        outcome
            .failures
            .extend(dead.iter().map(|link| format!("{name}: dead link: {link}")));
    }
    Ok(outcome)
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && !ELSEWHERE.contains(&&*name) {
                collect(&path, pages)?;
            }
        } else if is_markdown(&path) {
            pages.push(path);
        }
    }
    Ok(())
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "md")
}

fn dead_links(page: &Path, text: &str) -> Vec<String> {
    let folder = page.parent().unwrap_or(page);
    let links = targets(text)
        .into_iter()
        .filter(|target| !is_alive(page, text, target));
    let included = includes(text)
        .into_iter()
        .filter(|file| !folder.join(file).is_file());
    let gone = named_functions(text).into_iter().filter(|(name, file)| {
        let code = fs::read_to_string(folder.join(file)).unwrap_or_default();
        !["fn", "def"]
            .iter()
            .any(|keyword| code.contains(&format!("{keyword} {name}(")))
    });
    links
        .chain(included.map(str::to_owned))
        .chain(gone.map(|(name, file)| format!("{name} in {file}")))
        .collect()
}

fn is_alive(page: &Path, text: &str, target: &str) -> bool {
    // Other sites are not ours to check, and a test must not depend on the network.
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = page.parent().unwrap_or(page).join(file);
    if !file.is_empty() && !path.exists() {
        return false;
    }
    if anchor.is_empty() || !(file.is_empty() || is_markdown(&path)) {
        return true;
    }
    let other;
    let text = if file.is_empty() {
        text
    } else {
        other = fs::read_to_string(&path).unwrap_or_default();
        &other
    };
    anchors(text).iter().any(|known| known == anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("page.md");
        let text = "# Here\n[a](Cargo.toml) [b](gone.md) [c](#here) [d](#there) [e](https://example.com/x)";
        assert_eq!(dead_links(&page, text), ["gone.md", "#there"]);
    }
}
