//! Runs the tutorial as it is written: every `sh` block under a comment `test:tutorial`, in order, with the built
//! programs, on free ports and in a fresh folder.
//!
//! `background URL [PROGRAM]` starts a server and waits until the URL answers 200; PROGRAM stands for what the reader
//! has compiled. `expect TEXT` demands the text in the output. A directory that a block enters and a variable
//! that it exports stay for the blocks after it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::markdown::{Block, blocks};
use crate::e2e::{http, world};
use crate::install;
use crate::process::{Running, Stopwatch, run_logged, tail};
use crate::suite::Outcome;
use crate::workspace::{root, target};

const PAGE: &str = "docs/src/tutorial/first-mcp-server.md";
const MARK: &str = "test:tutorial";
/// The ports of the page: public, admin, MCP server.
const PORTS: [&str; 3] = ["9000", "9001", "8080"];
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run() -> Result<Outcome> {
    install::curl()?;
    let page = fs::read_to_string(root().join(PAGE))?;
    let mut reader = Reader::new()?;
    let mut outcome = Outcome::default();
    let marked = blocks(&page)
        .into_iter()
        .filter(|block| block.comment.is_some_and(|comment| comment.starts_with(MARK)));
    for (number, block) in marked.enumerate() {
        if let Err(error) = reader.follow(number + 1, &block) {
            // What comes next builds on this.
            outcome
                .failures
                .push(format!("{PAGE}, block {}: {error:#}\n{}", number + 1, block.text));
            return Ok(outcome);
        }
        outcome.passed += 1;
    }
    ensure!(outcome.passed > 0, "{PAGE} has no block under `{MARK}`");
    Ok(outcome)
}

/// Somebody who does what the page says.
struct Reader {
    folder: PathBuf,
    ports: Vec<(&'static str, String)>,
    servers: Vec<Running>,
}

impl Reader {
    fn new() -> Result<Self> {
        let folder = target().join("docs/tutorial");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("home"))?;
        fs::write(folder.join("cwd"), format!("{}\n", folder.join("home").display()))?;
        fs::write(folder.join("environment"), "")?;
        let mut ports = Vec::new();
        for port in PORTS {
            ports.push((port, http::free_port()?.to_string()));
        }
        Ok(Self {
            folder,
            ports,
            servers: Vec::new(),
        })
    }

    fn follow(&mut self, number: usize, block: &Block<'_>) -> Result<()> {
        ensure!(block.language == "sh", "the block is no `sh`");
        let mark = block.comment.unwrap_or_default().trim_start_matches(MARK).trim();
        let (kind, rest) = mark.split_once(' ').unwrap_or((mark, ""));
        let commands = self.moved(&block.text);
        match kind {
            "" => self.foreground(number, &commands, ""),
            "expect" => self.foreground(number, &commands, &self.moved(rest)),
            "background" => self.background(number, &commands, &self.moved(rest)),
            _ => bail!("`{MARK} {kind}` is not known"),
        }
    }

    /// The page's ports become free ones.
    fn moved(&self, text: &str) -> String {
        let replace = |text: String, (page, free): &(&str, String)| {
            text.replace(&format!("localhost:{page}"), &format!("localhost:{free}"))
        };
        self.ports.iter().fold(text.to_owned(), replace)
    }

    fn foreground(&self, number: usize, commands: &str, expected: &str) -> Result<()> {
        let script = format!(
            "set -eu\n. \"$STATE/environment\"\ncd \"$(cat \"$STATE/cwd\")\"\n{commands}\n\
             pwd > \"$STATE/cwd\"\nexport -p > \"$STATE/environment\"\n"
        );
        let (stdout, stderr) = self.logs(number);
        let ended = run_logged(&mut self.shell(&script), &stdout, &stderr, LIMIT)?;
        let status = ended.context("it did not end")?;
        ensure!(
            status.success(),
            "it ended with {status}: {}{}",
            tail(&stdout),
            tail(&stderr)
        );
        let output = fs::read_to_string(&stdout)?;
        ensure!(
            output.contains(expected),
            "it printed {output}\ninstead of {expected}"
        );
        Ok(())
    }

    fn background(&mut self, number: usize, command: &str, rest: &str) -> Result<()> {
        let (url, program) = rest.split_once(' ').unwrap_or((rest, ""));
        let command = match program {
            "" => command.trim().to_owned(),
            program => world::binary(program).display().to_string(),
        };
        let script =
            format!("set -eu\n. \"$STATE/environment\"\ncd \"$(cat \"$STATE/cwd\")\"\nexec {command}\n");
        let (stdout, stderr) = self.logs(number);
        let mut server = Running::start(&mut self.shell(&script), &stdout, &stderr)?;
        let (port, path) = port_and_path(url)?;
        let watch = Stopwatch::start();
        while http::status(port, path) != Some(200) {
            if let Some(status) = server.ended() {
                bail!("it ended with {status}: {}", tail(&stderr));
            }
            ensure!(
                watch.elapsed() < LIMIT,
                "{url} does not answer: {}",
                tail(&stderr)
            );
            thread::sleep(Duration::from_millis(50));
        }
        self.servers.push(server);
        Ok(())
    }

    fn shell(&self, script: &str) -> Command {
        let [public, admin, mcp] = [0, 1, 2].map(|index| self.ports[index].1.as_str());
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = target().join("debug");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .env("STATE", &self.folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            // The page leaves these at their defaults; here they carry the free ports.
            .env("DOORWARD_SERVER_ISSUER", format!("http://localhost:{public}"))
            .env("DOORWARD_SERVER_ADDRESS", format!("127.0.0.1:{public}"))
            .env("DOORWARD_ADMIN_ADDRESS", format!("127.0.0.1:{admin}"))
            .env("DOORWARD_ADMIN_URL", format!("http://127.0.0.1:{admin}"))
            .env("DOORWARD_ISSUER", format!("http://localhost:{public}"))
            .env("DOORWARD_BASE_URL", format!("http://localhost:{mcp}"))
            .env("PORT", mcp)
            .env("no_proxy", "*");
        shell
    }

    fn logs(&self, number: usize) -> (PathBuf, PathBuf) {
        let log = |kind: &str| self.folder.join(format!("{number}.{kind}.log"));
        (log("out"), log("err"))
    }
}

fn port_and_path(url: &str) -> Result<(u16, &str)> {
    let rest = url
        .strip_prefix("http://localhost:")
        .context("the URL is not on localhost")?;
    let (port, _) = rest.split_once('/').context("the URL has no path")?;
    Ok((port.parse()?, &rest[port.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_port_and_a_path() -> Result<()> {
        assert_eq!(port_and_path("http://localhost:9000/readyz")?, (9000, "/readyz"));
        assert!(port_and_path("http://example.com/").is_err());
        Ok(())
    }

    #[test]
    fn the_page_has_blocks_to_run() -> Result<()> {
        let page = fs::read_to_string(root().join(PAGE))?;
        let marked = blocks(&page)
            .iter()
            .filter(|block| block.comment.is_some())
            .count();
        assert!(marked >= 8, "only {marked}");
        Ok(())
    }
}
