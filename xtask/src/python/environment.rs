//! The guard for Python in virtual environments beside every generation of the frameworks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::install::{environment, once, venv};
use crate::process::run;
use crate::workspace::{e2e, root, target};

/// FastMCP 2.14 with the official SDK 1.24, 3.4 with 1.30, 4.1 with 2.3.
pub(super) const GENERATIONS: [&str; 3] = ["v0", "v1", "v2"];

const MATURIN: &str = "1.16.0";

/// Builds the wheel of this checkout once and installs it everywhere.
pub(super) fn install() -> Result<()> {
    venv()?;
    // Unoptimized, as everything that the suites build.
    let wheel = wheel("dev", &e2e().join("wheels"))?;
    for generation in GENERATIONS {
        let requirements = [
            root().join(format!("python/tests/requirements-{generation}.txt")),
            root().join(format!("e2e/requirements-{generation}.txt")),
            root().join("python/tests/requirements-tools.txt"),
        ];
        environment(&home(generation), &requirements)?;
        install_wheel(&interpreter(generation), &wheel)?;
    }
    Ok(())
}

/// Puts a wheel in the place of the one that was there.
pub(crate) fn install_wheel(python: &Path, wheel: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--force-reinstall",
        "--no-deps",
    ]);
    run(pip.arg(wheel))
}

/// The Python of a generation.
pub(super) fn interpreter(generation: &str) -> PathBuf {
    home(generation).join("bin/python")
}

fn home(generation: &str) -> PathBuf {
    e2e().join(format!("py-guarded-{generation}"))
}

/// Builds the wheel of this checkout into a folder of its own.
pub(crate) fn wheel(profile: &str, wheels: &Path) -> Result<PathBuf> {
    let tools = target().join("tools/maturin");
    once(&tools, MATURIN, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&tools))?;
        let mut pip = Command::new(tools.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet"]);
        run(pip.arg(format!("maturin=={MATURIN}")))
    })?;
    if wheels.exists() {
        fs::remove_dir_all(wheels)?;
    }
    let mut maturin = Command::new(tools.join("bin/maturin"));
    maturin
        .current_dir(root().join("python"))
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "--compatibility",
            "linux",
        ])
        .arg("--out")
        .arg(wheels)
        .env("CARGO_TARGET_DIR", target());
    run(&mut maturin)?;
    let built = fs::read_dir(wheels)?.next();
    Ok(built.context("maturin built no wheel")??.path())
}
