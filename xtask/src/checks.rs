//! The suites that are cargo commands.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Message, MetadataCommand, Target, TargetKind};

use crate::at_once::{self, Part};
use crate::install;
use crate::suite::Outcome;
use crate::workspace::{root, target};

pub(crate) fn fmt() -> Result<Outcome> {
    all_or_nothing(cargo(&["fmt", "--all", "--check"]))
}

pub(crate) fn clippy() -> Result<Outcome> {
    all_or_nothing(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

pub(crate) fn rustdoc() -> Result<Outcome> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    all_or_nothing(doc)
}

/// Bans, licences and sources are in the repository. The advisory database is fetched from the network, which a
/// build must not depend on: it is checked by the scheduled `cargo deny check advisories` instead.
pub(crate) fn deny() -> Result<Outcome> {
    let mut command = Command::new(install::cargo_deny()?);
    command
        .current_dir(root())
        .args(["--log-level", "error", "check", "bans", "licenses", "sources"]);
    all_or_nothing(command)
}

/// The tests of every crate, doctests included, counted from the test harness's own result lines.
pub(crate) fn unit() -> Result<Outcome> {
    install::postgresql()?;
    let mut command = cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    // `cargo test` alone skips the store's PostgreSQL suite where there is no server; here it must run.
    command.env("DOORWARD_TEST_POSTGRES", "required");
    let mut outcome = run_tests(command, &[])?;
    outcome.add(on_postgres().unwrap_or_else(|error| Outcome::failure(format!("on PostgreSQL: {error:#}"))));
    Ok(outcome)
}

/// Programs at a time: while one sets its server up, another has tests to run.
const AT_ONCE: usize = 2;

/// With the programs that are there: for one package alone, cargo would build it and what it needs once more, with
/// fewer features.
fn on_postgres() -> Result<Outcome> {
    let built = test_programs()?;
    let mut parts = Vec::new();
    for tests in &SERVER_ON_POSTGRES {
        let mut chosen = built.iter().filter(|program| tests.takes(program)).peekable();
        if chosen.peek().is_none() {
            bail!("{} has no tests {}", tests.package, tests.which.join(" "));
        }
        parts.extend(chosen.map(|program| {
            let label = format!("{} {} on PostgreSQL", program.package, program.target.name);
            Part::new(label, move || {
                let mut outcome = run_tests(tests.in_environment(program.command()), tests.names)?;
                for failure in &mut outcome.failures {
                    failure.push_str(" (on PostgreSQL)");
                }
                Ok(outcome)
            })
        }));
    }
    Ok(at_once::run(AT_ONCE, parts))
}

/// A program of tests, as cargo has built it.
struct TestProgram {
    package: String,
    /// Where tests expect to run.
    folder: PathBuf,
    target: Target,
    file: PathBuf,
}

impl TestProgram {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

fn test_programs() -> Result<Vec<TestProgram>> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()?;
    let output = cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--no-run",
        "--quiet",
        "--message-format",
        "json-render-diagnostics",
    ])
    .stderr(Stdio::inherit())
    .output()
    .context("cannot start cargo test")?;
    if !output.status.success() {
        bail!("cargo test --no-run ended with {}", output.status);
    }
    let mut programs = Vec::new();
    for message in Message::parse_stream(&output.stdout[..]) {
        let Message::CompilerArtifact(artifact) = message? else {
            continue;
        };
        let (true, Some(file)) = (artifact.profile.test, artifact.executable) else {
            continue;
        };
        let mut packages = metadata.packages.iter();
        let package = packages.find(|package| package.id == artifact.package_id);
        let package = package.with_context(|| format!("{file} is of no package here"))?;
        let folder = package
            .manifest_path
            .parent()
            .context("a manifest is in a folder")?;
        programs.push(TestProgram {
            package: package.name.to_string(),
            folder: folder.into(),
            target: artifact.target,
            file: file.into(),
        });
    }
    Ok(programs)
}

/// Some tests of one package.
pub(crate) struct Tests {
    pub(crate) package: &'static str,
    /// As `cargo test` takes them.
    pub(crate) which: &'static [&'static str],
    /// Of these those with one of these in their names, where there are any.
    pub(crate) names: &'static [&'static str],
    /// On PostgreSQL, where they would run on SQLite otherwise.
    pub(crate) on_postgres: bool,
}

impl Tests {
    pub(crate) fn build(&self) -> Command {
        let mut command = cargo(&["test", "--package", self.package, "--quiet", "--no-run"]);
        command.args(self.which);
        command
    }

    /// Fails without a server.
    pub(crate) fn command(&self) -> Command {
        let mut command = cargo(&["test", "--package", self.package, "--no-fail-fast"]);
        command.args(self.which);
        self.in_environment(command)
    }

    fn in_environment(&self, mut command: Command) -> Command {
        command.env("DOORWARD_TEST_POSTGRES", "required");
        if self.on_postgres {
            command.env("DOORWARD_TEST_ENGINE", "postgres");
        }
        command
    }

    /// Whether a built program is one of them.
    fn takes(&self, program: &TestProgram) -> bool {
        let target = &program.target;
        let is_asked_for = match self.which {
            ["--lib"] => target.kind.contains(&TargetKind::Lib),
            ["--test", "*"] => target.kind.contains(&TargetKind::Test),
            ["--test", name] => target.kind.contains(&TargetKind::Test) && target.name == *name,
            _ => false,
        };
        is_asked_for && program.package == self.package
    }
}

/// The tests of endpoints and jobs, and of the program where the engine matters, once more on the other engine.
pub(crate) const SERVER_ON_POSTGRES: [Tests; 3] = [
    Tests {
        package: "doorward-server",
        which: &["--test", "*"],
        names: &[],
        on_postgres: true,
    },
    Tests {
        package: "doorward-server",
        which: &["--lib"],
        names: &["jobs::"],
        on_postgres: true,
    },
    Tests {
        package: "doorward",
        which: &["--test", "program"],
        names: &["revocation::", "drain::", "life::", "secrets::"],
        on_postgres: true,
    },
];

/// Only tests with one of these in their names, where there are any; and of each there must be one.
pub(crate) fn run_tests(mut command: Command, names: &[&str]) -> Result<Outcome> {
    if !names.is_empty() {
        command.arg("--").args(names);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the tests")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut outcome = counted(&text);
    if !outcome.failures.is_empty() {
        println!("{text}");
    } else if !output.status.success() {
        outcome
            .failures
            .push(format!("the tests ended with {}", output.status));
    } else {
        outcome.failures = asked_in_vain(&text, &outcome, names);
    }
    Ok(outcome)
}

/// What was asked for and did not run: nothing at all, or a name that no test has any more.
fn asked_in_vain(text: &str, outcome: &Outcome, names: &[&str]) -> Vec<String> {
    if outcome.passed == 0 {
        return vec!["no test ran".to_owned()];
    }
    let ran = |name: &str| {
        let mut tests = text.lines().filter_map(|line| line.strip_prefix("test "));
        tests.any(|test| test.contains(name) && test.ends_with(" ... ok"))
    };
    names
        .iter()
        .filter(|name| !ran(name))
        .map(|name| format!("no test with `{name}` in its name ran"))
        .collect()
}

fn counted(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        if let Some(counts) = line.strip_prefix("test result: ") {
            outcome.passed += count(counts, " passed");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            outcome.failures.push(name.to_owned());
        }
    }
    outcome
}

/// The number before `label` in a line such as `ok. 12 passed; 0 failed; …`.
fn count(counts: &str, label: &str) -> usize {
    let before = counts.split_once(label).map_or("", |(before, _)| before);
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn cargo(arguments: &[&str]) -> Command {
    // Cargo names itself to the programs it runs.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root())
        .args(arguments)
        .env("CARGO_TARGET_DIR", target());
    command
}

pub(crate) fn all_or_nothing(mut command: Command) -> Result<Outcome> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if status.success() {
        return Ok(Outcome {
            passed: 1,
            ..Outcome::default()
        });
    }
    Ok(Outcome::failure(format!("ended with {status}, see above")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{SERVER_ON_POSTGRES, TestProgram, asked_in_vain, counted};

    fn program(package: &str, kind: &str, name: &str) -> TestProgram {
        let target = json!({ "name": name, "kind": [kind], "src_path": "/x.rs" });
        TestProgram {
            package: package.to_owned(),
            folder: "/".into(),
            target: serde_json::from_value(target).unwrap(),
            file: "/x".into(),
        }
    }

    #[test]
    fn programs_are_chosen_as_cargo_chooses_them() {
        let built = [
            program("doorward-server", "test", "refresh"),
            program("doorward-server", "lib", "doorward_server"),
            program("doorward-store", "test", "engines"),
            program("doorward", "test", "program"),
            program("doorward", "bin", "doorward"),
        ];
        let chosen = SERVER_ON_POSTGRES.map(|tests| {
            let names = built.iter().filter(|program| tests.takes(program));
            names
                .map(|program| program.target.name.as_str())
                .collect::<Vec<_>>()
        });
        assert_eq!(chosen, [["refresh"], ["doorward_server"], ["program"]]);
    }

    #[test]
    fn results_of_all_test_binaries_are_added_up() {
        let outcome = counted(
            "test a::good ... ok\ntest a::bad ... FAILED\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n\
             test result: ok. 12 passed; 0 failed; 0 ignored\n",
        );
        assert_eq!(outcome.passed, 13);
        assert_eq!(outcome.failures, ["a::bad"]);
    }

    #[test]
    fn tests_that_were_asked_for_and_did_not_run_are_named() {
        let text = "test drain::good ... ok\ntest life::slow ... ignored\ntest result: ok. 1 passed; 0 failed; 1 ignored\n";
        let outcome = counted(text);
        assert_eq!(asked_in_vain(text, &outcome, &["drain::"]), [""; 0]);
        assert_eq!(
            asked_in_vain(text, &outcome, &["drain::", "life::", "renamed::"]),
            [
                "no test with `life::` in its name ran",
                "no test with `renamed::` in its name ran"
            ]
        );
        let nothing = "test result: ok. 0 passed; 0 failed; 0 ignored\n";
        assert_eq!(asked_in_vain(nothing, &counted(nothing), &[]), ["no test ran"]);
    }
}
