//! What is measured, and with what: built and installed into `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Stage, progress};
use crate::install;
use crate::process::{run, works};
use crate::python::environment::{install_wheel, wheel};
use crate::workspace::{root, target};

/// What ships is what is measured.
const PROFILE: &str = "dist";

/// Where everything is.
pub(super) struct Programs {
    built: PathBuf,
    peers: PathBuf,
    fixtures: PathBuf,
    pub(super) python: PathBuf,
    pub(super) node: PathBuf,
    pub(super) authgent: PathBuf,
    /// What could not be installed, and why.
    pub(super) missing: Vec<(&'static str, String)>,
}

const PYTHON: &str = "the Python packages";
const NODE: &str = "the npm packages";
const WHEEL: &str = "the guard for Python";
const AUTHGENT: &str = "authgent-server";

impl Programs {
    /// Builds and installs what these stages need; what is in `built` is not built again. What cannot be installed is left
    /// out and named.
    pub(super) fn install(home: &Path, stages: &[Stage], built: Option<&Path>) -> Result<Self> {
        let mut programs = Self {
            built: built.map_or_else(|| target().join(PROFILE), Path::to_owned),
            peers: root().join("bench/peers"),
            fixtures: home.join("fixtures.json"),
            python: home.join("python/bin/python"),
            node: home.join("node"),
            authgent: home.join("authgent"),
            missing: Vec::new(),
        };
        if built.is_none() {
            progress("building the programs");
            build()?;
        }
        progress("installing what they are measured beside");
        install::npm_program()?;
        install::venv()?;
        let python = install::environment(&home.join("python"), &[programs.peers.join("requirements.txt")]);
        programs.note(PYTHON, python);
        let node = programs.node_packages();
        programs.note(NODE, node);
        if stages.iter().any(|stage| *stage != Stage::Server) {
            if built.is_none() {
                let installed = wheel(PROFILE, &home.join("wheels"))
                    .and_then(|wheel| install_wheel(&programs.python, &wheel));
                programs.note(WHEEL, installed);
            }
            let mut verify = Command::new(programs.program("verify"));
            run(verify.arg("--fixtures").arg(&programs.fixtures))?;
        }
        if stages.contains(&Stage::Server) {
            install::postgresql()?;
            let requirements = programs.peers.join("requirements-authgent.txt");
            let authgent = install::environment(&programs.authgent, &[requirements]);
            programs.note(AUTHGENT, authgent);
        }
        Ok(programs)
    }

    /// One round of checks: Rust, the bare signatures that the others are held against, Python, Node. Those of one thread keep
    /// to one processor: whoever is moved to another one begins with empty caches.
    pub(super) fn checks(&self, seconds: &str) -> Result<[Command; 4]> {
        self.need(&[PYTHON, WHEEL, NODE])?;
        let verify = self.program("verify");
        let rust = on_one_processor(&verify);
        let mut raw = on_one_processor(&verify);
        raw.arg("--raw").arg(&self.fixtures);
        let mut python = on_one_processor(&self.python);
        python
            .arg(self.peers.join("verify.py"))
            .arg(&self.fixtures)
            .arg(seconds)
            .arg(&verify);
        let mut node = Command::new("node");
        node.arg(self.node.join("verify.mjs"))
            .arg(&self.fixtures)
            .arg(seconds);
        Ok([rust, raw, python, node])
    }

    /// The program that calls tools.
    pub(super) fn calls(&self) -> Result<Command> {
        self.need(&[PYTHON, WHEEL])?;
        let mut command = Command::new(self.program("calls"));
        command.arg("run").arg("--fixtures").arg(&self.fixtures);
        command.arg("--python").arg(&self.python);
        command
            .arg("--fastmcp-server")
            .arg(self.peers.join("fastmcp_server.py"));
        Ok(command)
    }

    /// The program that puts servers under load, with all that are there.
    pub(super) fn load(&self) -> Command {
        let mut command = Command::new(self.program("load"));
        command.args(["--engine", "sqlite,postgres"]);
        let mut peer = |name: &str, program: &Path, script: Option<PathBuf>| {
            let script = script.map_or_else(String::new, |script| format!(",{}", script.display()));
            command.arg(format!("--peer={name}={}{script}", program.display()));
        };
        if self.has(AUTHGENT) {
            peer("authgent", &self.authgent.join("bin/authgent-server"), None);
        }
        if self.has(NODE) {
            let script = self.node.join("oidc_provider.mjs");
            peer("oidc-provider", Path::new("node"), Some(script));
        }
        if self.has(PYTHON) {
            let script = self.peers.join("fastmcp_provider.py");
            peer("fastmcp", &self.python, Some(script));
        }
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    fn has(&self, what: &str) -> bool {
        self.missing.iter().all(|(missing, _)| *missing != what)
    }

    fn need(&self, all: &[&str]) -> Result<()> {
        for what in all {
            ensure!(self.has(what), "{what} could not be installed");
        }
        Ok(())
    }

    fn note(&mut self, what: &'static str, installed: Result<()>) {
        if let Err(error) = installed {
            self.missing.push((what, format!("{error:#}")));
        }
    }

    /// Modules find their packages from where they lie, so that the scripts lie beside them.
    fn node_packages(&self) -> Result<()> {
        let package = self.peers.join("package.json");
        install::once(&self.node, &fs::read_to_string(&package)?, || {
            fs::copy(&package, self.node.join("package.json"))?;
            run(Command::new("npm")
                .args(["install", "--silent"])
                .current_dir(&self.node))
        })?;
        for script in ["verify.mjs", "oidc_provider.mjs"] {
            fs::copy(self.peers.join(script), self.node.join(script))
                .with_context(|| format!("cannot copy {script}"))?;
        }
        Ok(())
    }
}

fn build() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["build", "--quiet", "--profile", PROFILE]);
    cargo.args(["-p", "doorward", "-p", "doorward-bench"]);
    for program in ["doorward", "load", "verify", "calls"] {
        cargo.args(["--bin", program]);
    }
    run(&mut cargo)
}

/// A program that stays on the first processor, where the system can see to it.
fn on_one_processor(program: &Path) -> Command {
    if !works("taskset", &["-c", "0", "true"]) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_left_out() {
        let mut programs = Programs {
            built: "/built".into(),
            peers: "/peers".into(),
            fixtures: "/fixtures".into(),
            python: "/python".into(),
            node: "/node".into(),
            authgent: "/authgent".into(),
            missing: Vec::new(),
        };
        let peers = |programs: &Programs| {
            let command = programs.load();
            let arguments = command
                .get_args()
                .map(|argument| argument.to_string_lossy().into_owned());
            arguments
                .filter(|argument| argument.starts_with("--peer"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            peers(&programs),
            [
                "--peer=authgent=/authgent/bin/authgent-server",
                "--peer=oidc-provider=node,/node/oidc_provider.mjs",
                "--peer=fastmcp=/python,/peers/fastmcp_provider.py"
            ]
        );
        programs.note(PYTHON, Ok(()));
        programs.note(NODE, Err(anyhow::anyhow!("no network")));
        assert_eq!(peers(&programs).len(), 2);
        assert!(programs.calls().is_ok());
        assert_eq!(
            programs.checks("1").unwrap_err().to_string(),
            "the npm packages could not be installed"
        );
    }
}
