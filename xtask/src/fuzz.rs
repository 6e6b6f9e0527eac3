//! The fuzz targets, for a minute each. A finding is a failure that names the file that brings it about.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, TargetKind};

use crate::at_once::{self, Part};
use crate::install;
use crate::process::{run, run_logged, tail};
use crate::suite::Outcome;
use crate::workspace::{root, target};

/// How long each target runs, in seconds.
const SECONDS: &str = "FUZZ_SECONDS";
const USUAL_SECONDS: u64 = 60;
/// Targets that run at the same time.
const AT_ONCE: usize = 2;
/// What one input may take. Everything is milliseconds; the machine may be busy.
const INPUT_SECONDS: u64 = 10;
/// The least that a target tries a second. The slowest one tries 3000; with fewer than these it hardly ran.
const INPUTS_A_SECOND: u64 = 20;

/// Builds all targets, then runs them two at a time.
pub(crate) fn run_all() -> Result<Outcome> {
    let seconds = seconds()?;
    let home = target().join("fuzz");
    let names = names()?;
    let programs = build(&home)?;
    let (programs, home) = (&programs, &home);
    let parts = names.iter().map(|name| {
        let work = move || fuzz(name, &programs.join(name), home, seconds);
        Part::new(name, work)
    });
    Ok(at_once::run(AT_ONCE, parts.collect()))
}

fn seconds() -> Result<u64> {
    match std::env::var(SECONDS) {
        Ok(text) => match text.parse() {
            Ok(seconds) if seconds > 0 => Ok(seconds),
            _ => bail!("{SECONDS} must be a number of seconds, at least 1"),
        },
        Err(_) => Ok(USUAL_SECONDS),
    }
}

fn manifest() -> PathBuf {
    root().join("fuzz/Cargo.toml")
}

/// The targets, as the manifest lists them.
fn names() -> Result<Vec<String>> {
    // `--locked`: nothing here writes into the checkout.
    let metadata = MetadataCommand::new()
        .manifest_path(manifest())
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    Ok(targets
        .filter(|target| target.kind.contains(&TargetKind::Bin))
        .map(|target| target.name)
        .collect())
}

/// Builds all targets, and says in which folder they are.
fn build(home: &Path) -> Result<PathBuf> {
    install::compiler_of_cpp()?;
    let cargo_fuzz = install::cargo_fuzz()?;
    let mut fetch = Command::new("cargo");
    fetch.args(["fetch", "--quiet", "--locked", "--manifest-path"]);
    run(fetch.arg(manifest())).context(
        "fuzz/Cargo.lock is behind; bring it up to date with `cargo update --workspace --manifest-path fuzz/Cargo.toml`",
    )?;
    let mut command = Command::new(cargo_fuzz);
    // No sanitizer and the one toolchain: the sources forbid unsafe code, and coverage needs these flags alone.
    command.env("RUSTC_BOOTSTRAP", "1").current_dir(root());
    command.args([
        "fuzz",
        "build",
        "--sanitizer",
        "none",
        "--fuzz-dir",
        "fuzz",
        "--target-dir",
    ]);
    run(command.arg(home))?;
    let folders = fs::read_dir(home)?
        .flatten()
        .map(|folder| folder.path().join("release"));
    let mut built = folders.filter(|folder| folder.join("jws_parse").exists());
    built.next().context("cargo-fuzz has built no targets")
}

fn fuzz(name: &str, program: &Path, home: &Path, seconds: u64) -> Result<Outcome> {
    // Empty at the beginning: the same inputs in every run.
    let folder = home.join("run").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (corpus, artifacts) = (folder.join("corpus"), folder.join("artifacts"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let fuzz = root().join("fuzz");
    let mut command = Command::new(program);
    command.current_dir(&folder).arg(&corpus);
    let seeds = fuzz.join("seeds").join(name);
    if !seeds.is_dir() {
        bail!("there are no inputs to begin with in {}", seeds.display());
    }
    command.arg(seeds);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!(
        "-dict={}",
        fuzz.join("dictionaries").join(dictionary(name)).display()
    ));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-timeout={INPUT_SECONDS}"));
    command.args(["-seed=1", "-max_len=16384", "-print_final_stats=1"]);
    let log = folder.join("log");
    let limit = Duration::from_secs(seconds * 2 + 120);
    let ended = run_logged(&mut command, &folder.join("stdout"), &log, limit)?;
    let found = fs::read_dir(&artifacts)?.flatten().map(|file| file.path()).next();
    Ok(match (ended, found) {
        (Some(status), None) if status.success() => {
            judge_effort(name, &String::from_utf8_lossy(&fs::read(&log)?), seconds)
        }
        (_, Some(file)) => Outcome::failure(format!(
            "{name}: `fuzz/run.sh {name} {}` shows it again\n{}",
            file.display(),
            tail(&log)
        )),
        (Some(status), None) => Outcome::failure(format!("{name} ended with {status}\n{}", tail(&log))),
        (None, None) => Outcome::failure(format!("{name} does not end\n{}", tail(&log))),
    })
}

/// A target that ended well, and hardly tried anything, has found nothing out.
fn judge_effort(name: &str, log: &str, seconds: u64) -> Outcome {
    let executed: u64 = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0);
    if executed < INPUTS_A_SECOND * seconds {
        return Outcome::failure(format!("{name} tried only {executed} inputs in {seconds} s"));
    }
    Outcome {
        passed: 1,
        ..Outcome::default()
    }
}

fn dictionary(name: &str) -> &'static str {
    match name {
        "redirect_uri" | "resource_uri" => "uri.dict",
        "challenge" | "guard_credentials" | "parameters" => "http.dict",
        "pem_key" => "pem.dict",
        _ => "json.dict",
    }
}

#[cfg(test)]
mod tests {
    use super::judge_effort;

    #[test]
    fn a_target_that_hardly_tried_anything_has_failed() {
        let log =
            |tried: u64| format!("Done {tried} runs\nstat::number_of_executed_units: {tried}\nstat::x: 1\n");
        assert_eq!(judge_effort("jwk", &log(857_008), 60).passed, 1);
        assert_eq!(
            judge_effort("jwk", &log(7), 60).failures,
            ["jwk tried only 7 inputs in 60 s"]
        );
        assert_eq!(judge_effort("jwk", "", 60).passed, 0);
    }
}
