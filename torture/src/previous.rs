//! Versions before this one, built from the repository's history: the one before (the newest tag, or, when there is none, the
//! newest commit whose database has one step fewer), and the oldest whose nodes may still work beside those of today.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::mount::NotHere;
use crate::node::run;

const STEPS: &str = "crates/store/migrations/postgres";

/// The first one after the last step of the database that is marked `breaks_older`, and the first that works on with steps
/// that it does not know. Whoever marks another step puts a newer commit here.
const OLDEST: &str = "ea6692f9b94774677faca3e37632528ce970d089";
/// It has no such settings, and refuses what it does not know.
const UNKNOWN_TO_OLDEST: &[&str] = &[
    "DOORWARD_SERVER_SHUTDOWN_DELAY",
    "DOORWARD_RATE_LIMIT_SELF_REGISTERED",
];

/// A program of another version.
#[derive(Debug, Clone)]
pub struct Previous {
    pub program: PathBuf,
    /// What it was made from.
    pub name: String,
    /// Settings of the suite that it does not know.
    pub unknown: &'static [&'static str],
}

impl Previous {
    /// One that is there.
    pub fn of(program: &Path) -> anyhow::Result<Self> {
        let program = std::fs::canonicalize(program)?;
        Ok(Self {
            name: program.display().to_string(),
            program,
            unknown: &[],
        })
    }

    /// The one before.
    pub fn last() -> anyhow::Result<Self> {
        Self::build(find()?, "previous")
    }

    /// The oldest.
    pub fn oldest() -> anyhow::Result<Self> {
        Self::build(find_oldest()?, "oldest")
    }

    /// Builds it beside what is built here, by the same profile.
    fn build(found: Found, folder: &str) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let programs = own.parent().context("this program is in no folder")?;
        let folder = programs
            .parent()
            .context("this program is in no target folder")?
            .join(folder);
        let profile = programs.file_name().and_then(|name| name.to_str());
        let profile = profile.context("a folder whose name is no text")?;
        check_out(&folder.join("source"), &found.commit)?;
        eprintln!("  building {}", found.name);
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let profile_name = if profile == "debug" { "dev" } else { profile };
        build
            .current_dir(folder.join("source"))
            .args(["build", "--quiet", "--locked", "--profile", profile_name])
            .args(["-p", "doorward", "--bin", "doorward"])
            .env("CARGO_TARGET_DIR", folder.join("target"));
        run(&mut build).with_context(|| format!("{} cannot be built", found.name))?;
        Ok(Self {
            program: folder.join("target").join(profile).join("doorward"),
            name: found.name,
            unknown: found.unknown,
        })
    }
}

/// A commit, and what to call it.
struct Found {
    commit: String,
    name: String,
    unknown: &'static [&'static str],
}

impl Found {
    /// Named after its steps.
    fn commit(commit: String, unknown: &'static [&'static str]) -> Result<Self, String> {
        let steps = git(&["ls-tree", "--name-only", &format!("{commit}:{STEPS}")])?;
        let short = commit.get(..10).unwrap_or(&commit);
        let name = format!("{short}, whose database has {} steps", steps.lines().count());
        Ok(Self {
            commit,
            name,
            unknown,
        })
    }
}

fn find_oldest() -> anyhow::Result<Found> {
    let found = Found::commit(OLDEST.to_owned(), UNKNOWN_TO_OLDEST);
    Ok(found.map_err(|why| {
        NotHere(format!(
            "{OLDEST} is not in this history (a shallow clone?): {why}"
        ))
    })?)
}

fn find() -> anyhow::Result<Found> {
    // What this version is tagged with is not the one before.
    if let Ok(tag) = git(&["describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"]) {
        let commit = git(&["rev-parse", &format!("{tag}^{{commit}}")]).map_err(anyhow::Error::msg)?;
        return Ok(Found {
            commit,
            name: tag,
            unknown: &[],
        });
    }
    let none = |why: String| NotHere(format!("there is no version before this one to build: {why}"));
    let last = git(&["log", "-1", "--diff-filter=A", "--format=%H", "--", STEPS]).map_err(none)?;
    if last.is_empty() {
        bail!(none("no commit adds a step of the database".to_owned()));
    }
    let commit = git(&["rev-parse", "--verify", "--quiet", &format!("{last}^")])
        .map_err(|_| none("the history does not go back far enough (a shallow clone?)".to_owned()))?;
    Ok(Found::commit(commit, &[]).map_err(none)?)
}

/// The sources of a commit, in a folder of their own.
fn check_out(source: &Path, commit: &str) -> anyhow::Result<()> {
    let folder = source.to_str().context("a folder whose name is no text")?;
    if !source.join("Cargo.toml").is_file() {
        let added = git(&[
            "worktree", "add", "--quiet", "--force", "--detach", folder, commit,
        ]);
        added.map_err(anyhow::Error::msg)?;
        return Ok(());
    }
    let checked_out = git(&["-C", folder, "checkout", "--quiet", "--force", "--detach", commit]);
    checked_out.map(|_| ()).map_err(anyhow::Error::msg)
}

/// What git says, in this repository; or why it says nothing.
fn git(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(arguments)
        .output()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
