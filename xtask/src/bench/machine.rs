//! What the figures were measured on, and with which versions.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::Programs;
use crate::workspace::root;

/// Crates whose versions matter to the figures.
const CRATES: [&str; 6] = ["aws-lc-rs", "aws-lc-sys", "axum", "hyper", "jsonwebtoken", "rmcp"];
/// Python packages, likewise.
const PACKAGES: [&str; 10] = [
    "authgent-server",
    "authplane-sdk",
    "cryptography",
    "fastapi",
    "fastmcp",
    "joserfc",
    "mcp",
    "PyJWT",
    "SQLAlchemy",
    "uvicorn",
];

/// As a list, with the load average before anything was measured.
pub(super) fn describe(programs: &Programs) -> Result<String> {
    let mut text = String::new();
    let mut line = |what: &str, is: &str| writeln!(text, "* {what}: {is}");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    line(
        "processor",
        &format!("{}, {cores} cores", field("/proc/cpuinfo", "model name")),
    )?;
    line("memory", &field("/proc/meminfo", "MemTotal"))?;
    line("kernel", read("/proc/sys/kernel/osrelease").trim())?;
    line("load average before", read("/proc/loadavg").trim())?;
    line("compiler", &said(Command::new("rustc").arg("--version")))?;
    line("crates", &crates()?)?;
    line("Python", &said(Command::new(&programs.python).arg("--version")))?;
    line("packages", &packages(&programs.python))?;
    line(
        "authgent-server",
        &packages(&programs.authgent.join("bin/python")),
    )?;
    line("Node", &said(Command::new("node").arg("--version")))?;
    for package in ["jose", "oidc-provider"] {
        let text = read(programs.node.join(format!("node_modules/{package}/package.json")));
        let text: Value = serde_json::from_str(&text).unwrap_or_default();
        line(package, text["version"].as_str().unwrap_or("unknown"))?;
    }
    Ok(text)
}

/// By the lock file.
fn crates() -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    let mut versions = Vec::new();
    for package in lock.split("[[package]]") {
        let member = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(" = ").trim_matches('"'))
        };
        if let (Some(name), Some(version)) = (member("name"), member("version"))
            && CRATES.contains(&name)
        {
            versions.push(format!("{name} {version}"));
        }
    }
    Ok(versions.join(", "))
}

fn packages(python: &Path) -> String {
    let mut pip = Command::new(python);
    let listed = said(pip.args([
        "-m",
        "pip",
        "list",
        "--format",
        "json",
        "--disable-pip-version-check",
    ]));
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap_or_default();
    let versions = listed.iter().filter_map(|package| {
        let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
        let counts = PACKAGES.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        counts.then(|| format!("{name} {version}"))
    });
    versions.collect::<Vec<_>>().join(", ")
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn said(command: &mut Command) -> String {
    let output = command.output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
