//! What the figures were measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The machine, the versions and the load before anything started.
pub fn describe(program: &Path, postgres: Option<&str>) -> Value {
    json!({
        "processor": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "load_average": read("/proc/loadavg"),
        "rustc": run("rustc", "--version"),
        "doorward": run(&program.display().to_string(), "--version"),
        "doorward_bytes": fs::metadata(program).map_or(0, |file| file.len()),
        "sqlite": rusqlite::version(),
        "postgres": postgres,
    })
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn run(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
