//! One client on one MCP server: runs its script and reads the steps it reports.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::world::{ADMIN_KEY, EMAIL, McpServer, PASSWORD, World};
use crate::install;
use crate::ports::free_port;
use crate::process::{run_logged, tail};
use crate::suite::Outcome;
use crate::workspace::{e2e, root};

/// Only what hangs is ended by it: the slowest script has runs of schemathesis with limits of their own.
const LIMIT: Duration = Duration::from_mins(10);

#[derive(Clone, Copy)]
pub(crate) struct Script {
    pub(crate) file: &'static str,
    pub(crate) language: Language,
}

#[derive(Clone, Copy)]
pub(crate) enum Language {
    /// With the Python packages of an environment: a generation of MCP's, or the tools.
    Python(&'static str),
    Node,
}

impl Script {
    fn label(&self) -> String {
        match self.language {
            Language::Python(generation) => format!("{}-{generation}", self.file),
            Language::Node => self.file.to_owned(),
        }
    }

    fn command(&self) -> Command {
        match self.language {
            Language::Python(generation) => {
                let mut command = Command::new(install::interpreter(generation));
                command
                    .arg(root().join("e2e/python").join(self.file))
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Language::Node => {
                let mut command = Command::new(install::node());
                command.arg(e2e().join("node").join(self.file));
                command
            }
        }
    }
}

/// Runs a client's script in a home of its own. Clients open the browser through `BROWSER`, as on a desktop.
pub(crate) fn walk(world: &World, server: &McpServer, script: &Script) -> Result<Outcome> {
    walk_with(world, server, script, &[])
}

/// The same for a script that uses the admin API, too.
pub(crate) fn walk_as_operator(
    world: &World,
    server: &McpServer,
    script: &Script,
    environment: &[(&str, &str)],
) -> Result<Outcome> {
    let admin = format!("http://localhost:{}", world.admin_port);
    let mut all = vec![
        ("DOORWARD_ADMIN_URL", admin.as_str()),
        ("DOORWARD_ADMIN_KEY", ADMIN_KEY),
    ];
    all.extend(environment);
    walk_with(world, server, script, &all)
}

/// The same, with more in the script's environment.
pub(crate) fn walk_with(
    world: &World,
    server: &McpServer,
    script: &Script,
    environment: &[(&str, &str)],
) -> Result<Outcome> {
    let what = format!("{} on {}", script.label(), server.label);
    eprintln!("  {what}");
    let home = world.folder.join(format!("{}-{}", server.label, script.label()));
    fs::create_dir_all(&home)?;
    let callback = format!("http://127.0.0.1:{}/oauth/callback", free_port());
    let mut command = script.command();
    command
        .current_dir(&home)
        .env("HOME", &home)
        .env("DOORWARD_ISSUER", &world.issuer)
        .env("MCP_URL", &server.url)
        .env("E2E_STEP_UP", if server.steps_up { "1" } else { "0" })
        .env("E2E_EMAIL", EMAIL)
        .env("E2E_PASSWORD", PASSWORD)
        .env("E2E_BROWSER_LOG", home.join("browser.log"))
        .env("E2E_BROWSER_JAR", home.join("cookies.json"))
        .env("E2E_SCREENSHOTS", e2e().join("screenshots"))
        .env("BROWSER", root().join("e2e/python/browser.py"))
        .env("CHROMIUM", install::CHROMIUM)
        // The Inspector would listen on the same port in every walk; mcp-remote takes this one, too.
        .env("MCP_OAUTH_CALLBACK_URL", callback)
        .env("MCP_REMOTE_CONFIG_DIR", home.join("mcp-remote"))
        .envs(environment.iter().copied());
    // With a display, openers would look for a desktop's own browser first; proxies have no business on loopback.
    for name in [
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    let (stdout, stderr) = (home.join("steps.log"), home.join("stderr.log"));
    let ended = run_logged(&mut command, &stdout, &stderr, LIMIT)?;
    let mut outcome = read_steps(&stdout, &what)?;
    match ended {
        None => outcome
            .failures
            .push(format!("{what}: stopped after {} s", LIMIT.as_secs())),
        Some(status) if !status.success() && outcome.failures.is_empty() => {
            outcome
                .failures
                .push(format!("{what}: ended with {status}: {}", tail(&stderr)));
        }
        Some(_) if outcome.passed == 0 && outcome.failures.is_empty() => {
            outcome.failures.push(format!("{what}: reported no step"));
        }
        Some(_) => {}
    }
    Ok(outcome)
}

pub(crate) fn read_steps(stdout: &Path, what: &str) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for line in fs::read_to_string(stdout)?.lines() {
        let Ok(step) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let text = |member: &str| step[member].as_str().unwrap_or_default().to_owned();
        let told = || {
            format!(
                "{what} ({}): {}: {}",
                text("client"),
                text("step"),
                text("detail")
            )
        };
        match (step["ok"].as_bool(), step["offered"].as_bool()) {
            (Some(true), _) => outcome.passed += 1,
            (Some(false), _) => outcome.failures.push(told()),
            (None, Some(false)) => outcome.not_offered.push(told()),
            (None, _) => {}
        }
    }
    Ok(outcome)
}
