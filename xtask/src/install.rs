//! What the suites need beyond Rust: system packages (as root), Python environments, npm packages, cargo-deny, cargo-fuzz.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{run, works};
use crate::workspace::{e2e, root, target};

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";

/// The chromium package of Debian.
pub(crate) const CHROMIUM: &str = "/usr/bin/chromium";

/// The two generations of Python packages; each is a virtual environment.
pub(crate) const PYTHON_GENERATIONS: [&str; 2] = ["v1", "v2"];

/// The virtual environment of [`tools`].
pub(crate) const TOOLS: &str = "tools";

/// Installs the clients and servers of the end-to-end suites where they are missing or outdated.
pub(crate) fn clients() -> Result<()> {
    venv()?;
    system_packages(&[("npm", works("npm", &["--version"]))])?;
    for generation in PYTHON_GENERATIONS {
        let requirements = root().join(format!("e2e/requirements-{generation}.txt"));
        environment(&environment_home(generation), &[requirements])?;
    }
    npm()
}

/// Installs what is not of one generation of MCP's packages: schemathesis.
pub(crate) fn tools() -> Result<()> {
    environment(
        &environment_home(TOOLS),
        &[root().join("e2e/requirements-tools.txt")],
    )
}

/// Debian's Python has no virtual environments by itself.
pub(crate) fn venv() -> Result<()> {
    system_packages(&[(
        "python3-venv",
        works("python3", &["-c", "import venv, ensurepip"]),
    )])
}

pub(crate) fn npm_program() -> Result<()> {
    system_packages(&[("npm", works("npm", &["--version"]))])
}

pub(crate) fn chromium() -> Result<()> {
    system_packages(&[
        ("chromium", Path::new(CHROMIUM).exists()),
        ("npm", works("npm", &["--version"])),
    ])?;
    npm()
}

/// The tutorial looks at answers with it.
pub(crate) fn curl() -> Result<()> {
    system_packages(&[("curl", works("curl", &["--version"]))])
}

/// The how-to pages sign with it, and a person without a browser is played in Python.
pub(crate) fn openssl() -> Result<()> {
    system_packages(&[
        ("openssl", works("openssl", &["version"])),
        ("python3", works("python3", &["--version"])),
    ])
}

/// The server programs of PostgreSQL, and `PgBouncer`; the store's tests start their own with them.
pub(crate) fn postgresql() -> Result<()> {
    let in_debians_place = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .any(|version| version.path().join("bin/initdb").exists());
    system_packages(&[
        ("postgresql", in_debians_place || works("initdb", &["--version"])),
        ("pgbouncer", has_pgbouncer()),
    ])
}

/// `PgBouncer` alone.
pub(crate) fn pgbouncer() -> Result<()> {
    system_packages(&[("pgbouncer", has_pgbouncer())])
}

fn has_pgbouncer() -> bool {
    works("pgbouncer", &["--version"]) || Path::new("/usr/sbin/pgbouncer").exists()
}

/// Clocks that can be set for one program.
pub(crate) fn libfaketime() -> Result<()> {
    let in_debians_place = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .any(|home| home.path().join("faketime/libfaketimeMT.so.1").exists());
    system_packages(&[("libfaketime", in_debians_place)])
}

pub(crate) fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

/// libFuzzer is written in C++.
pub(crate) fn compiler_of_cpp() -> Result<()> {
    system_packages(&[("g++", works("c++", &["--version"]))])
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let tools = target().join("tools");
    let program = tools.join("bin").join(name);
    if !works(&program, &["--version"]) {
        eprintln!("installing {name} {version}");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", name, "--quiet", "--locked", "--version", version]);
        run(cargo.arg("--root").arg(&tools))?;
    }
    Ok(program)
}

pub(crate) fn interpreter(generation: &str) -> PathBuf {
    environment_home(generation).join("bin/python")
}

fn environment_home(generation: &str) -> PathBuf {
    e2e().join(format!("py-{generation}"))
}

/// The Node that came as an npm package: systems ship older ones.
pub(crate) fn node() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x64"
    };
    e2e().join(format!("node/node_modules/node-linux-{architecture}/bin/node"))
}

fn system_packages(wanted: &[(&str, bool)]) -> Result<()> {
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(_, present)| !present)
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !works("sh", &["-c", "test \"$(id -u)\" = 0 && command -v apt-get"]) {
        bail!(
            "install these packages first (or run as root on Debian): {}",
            missing.join(", ")
        );
    }
    eprintln!("installing {}", missing.join(", "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// A virtual environment with what the first of the files asks for. The others are those that it names.
pub(crate) fn environment(home: &Path, requirements: &[PathBuf]) -> Result<()> {
    let mut made_from = String::new();
    for file in requirements {
        made_from += &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let asked = requirements.first().context("no file of requirements")?;
    once(home, &made_from, || {
        eprintln!("installing the Python packages of {}", asked.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(home))?;
        let mut pip = Command::new(home.join("bin/python"));
        run(pip
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(asked))
    })
}

fn npm() -> Result<()> {
    let home = e2e().join("node");
    let given = root().join("e2e");
    npm_packages(&given, &home, || Ok(()))?;
    // Modules find their packages from where they lie, so that the scripts lie beside them.
    for folder in ["node", "browser"] {
        for script in fs::read_dir(given.join(folder))? {
            let script = script?;
            fs::copy(script.path(), home.join(script.file_name()))?;
        }
    }
    Ok(())
}

/// The packages that a folder's `package-lock.json` asks for, and what is to be done with them once.
pub(crate) fn npm_packages(given: &Path, home: &Path, then: impl FnOnce() -> Result<()>) -> Result<()> {
    once(
        home,
        &fs::read_to_string(given.join("package-lock.json"))?,
        || {
            eprintln!(
                "installing the npm packages of {}",
                given.join("package.json").display()
            );
            for file in ["package.json", "package-lock.json", ".npmrc"] {
                fs::copy(given.join(file), home.join(file)).with_context(|| format!("cannot copy {file}"))?;
            }
            run(Command::new("npm").args(["ci", "--silent"]).current_dir(home))?;
            then()
        },
    )
}

/// Fills a folder once for each state of what it is made from.
pub(crate) fn once(home: &Path, made_from: &str, fill: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = home.join(".made-from");
    if fs::read_to_string(&stamp).is_ok_and(|last| last == made_from) {
        return Ok(());
    }
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    fs::create_dir_all(home)?;
    fill()?;
    Ok(fs::write(stamp, made_from)?)
}
