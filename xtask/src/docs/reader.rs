//! Somebody who does what a page says: in a shell, with the built programs, on free ports and in a fresh folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::e2e::{http, world};
use crate::ports::free_port;
use crate::process::{Running, Stopwatch, run_logged, tail};
use crate::workspace::target;

/// The ports of the pages: public, admin, MCP server.
const PORTS: [&str; 3] = ["9000", "9001", "8080"];
/// Only what hangs is ended by it.
const LIMIT: Duration = Duration::from_mins(3);

pub(super) struct Reader {
    folder: PathBuf,
    ports: [(&'static str, String); 3],
    environment: Vec<(&'static str, String)>,
    servers: Vec<Running>,
}

impl Reader {
    /// Somebody who has nothing yet, in a folder of this name.
    pub(super) fn new(name: &str) -> Result<Self> {
        let folder = target().join("docs").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("home"))?;
        fs::write(folder.join("cwd"), format!("{}\n", folder.join("home").display()))?;
        fs::write(folder.join("environment"), "")?;
        Ok(Self {
            folder,
            ports: PORTS.map(|port| (port, free_port().to_string())),
            environment: Vec::new(),
            servers: Vec::new(),
        })
    }

    /// Sets a variable for every command.
    pub(super) fn set(&mut self, name: &'static str, value: String) {
        self.environment.push((name, value));
    }

    /// Sets a variable for the commands that follow, as a page does with `export`.
    pub(super) fn remember(&self, name: &str, value: &str) -> Result<()> {
        let path = self.folder.join("environment");
        let known = fs::read_to_string(&path)?;
        let quoted = value.replace('\'', "'\\''");
        Ok(fs::write(&path, format!("{known}export {name}='{quoted}'\n"))?)
    }

    /// The page's ports become free ones.
    pub(super) fn moved(&self, text: &str) -> String {
        let replace = |text: String, (page, free): &(&str, String)| {
            text.replace(&format!("localhost:{page}"), &format!("localhost:{free}"))
        };
        self.ports.iter().fold(text.to_owned(), replace)
    }

    /// Runs commands to their end; what they print has to hold `expected`, and is returned.
    pub(super) fn foreground(&self, number: usize, commands: &str, expected: &str) -> Result<String> {
        let script = format!(
            "set -aeu\n. \"$READER_STATE/environment\"\ncd \"$(cat \"$READER_STATE/cwd\")\"\n{commands}\n\
             pwd > \"$READER_STATE/cwd\"\nexport -p > \"$READER_STATE/environment\"\n"
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
        Ok(output)
    }

    /// Starts a server, and waits until `rest`, a URL, answers 200; a program's name behind it stands for what the reader
    /// has compiled.
    pub(super) fn background(&mut self, number: usize, command: &str, rest: &str) -> Result<()> {
        let (url, program) = rest.split_once(' ').unwrap_or((rest, ""));
        let command = match program {
            "" => command.trim().to_owned(),
            program => world::binary(program).display().to_string(),
        };
        let script = format!(
            "set -aeu\n. \"$READER_STATE/environment\"\ncd \"$(cat \"$READER_STATE/cwd\")\"\nexec {command}\n"
        );
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
            .env("READER_STATE", &self.folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            // The page leaves these at their defaults; here they carry the free ports.
            .env("DOORWARD_SERVER_ISSUER", format!("http://localhost:{public}"))
            .env("DOORWARD_SERVER_ADDRESS", format!("127.0.0.1:{public}"))
            .env("DOORWARD_ADMIN_ADDRESS", format!("127.0.0.1:{admin}"))
            .env("DOORWARD_ADMIN_URL", format!("http://127.0.0.1:{admin}"))
            .env("DOORWARD_ISSUER", format!("http://localhost:{public}"))
            .env("DOORWARD_BASE_URL", format!("http://localhost:{mcp}"))
            .env("PORT", mcp)
            .env("no_proxy", "*")
            .envs(self.environment.iter().map(|(name, value)| (*name, value)));
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
}
