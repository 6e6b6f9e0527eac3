//! What can be typed.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::admin::AdminArguments;
use crate::check_config::CheckConfigArguments;
use crate::maintenance::{BackupArguments, EndGrantsArguments, KeysCommand, RestoreArguments};
use crate::moving::MoveArguments;
use crate::out;

/// The authorization plane for the Model Context Protocol.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Runs the authorization server.
    Serve(ConfigArguments),
    /// Runs everything on this machine with a demo MCP server, and walks one real client through it.
    ///
    /// The log has warnings alone; `DOORWARD_OBSERVABILITY_LOG_LEVEL=info` shows every request, and why one was refused.
    Dev(DevArguments),
    /// Operator's commands, over the admin API.
    Admin(Box<AdminArguments>),
    /// Writes a commented configuration and fresh secrets.
    Init(InitArguments),
    /// Reads the configuration as `serve` would and prints what is in force.
    CheckConfig(CheckConfigArguments),
    /// Brings the database to this version's schema, with the indexes that no start waits for. The master key is tried before, where there is one.
    Migrate(ConfigArguments),
    /// Copies the database to a file and checks the copy, also while a server runs (SQLite).
    Backup(BackupArguments),
    /// Checks a copy and puts it in the place of the database; no server may run (SQLite).
    Restore(RestoreArguments),
    /// Moves everything from SQLite to an empty PostgreSQL database, all of it or nothing; no server may run.
    Move(MoveArguments),
    /// Ends every grant, session and code, after the database was put back to an earlier state (a restored copy, a point in time).
    EndGrants(EndGrantsArguments),
    /// Works on the master key.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Asks a running server whether it is ready; exits 0 if so.
    Healthcheck(HealthcheckArguments),
    /// Prints a completion script for a shell.
    Completions {
        /// For this shell.
        shell: Shell,
    },
    /// Writes the pages of the book that come from the code.
    #[command(hide = true)]
    Reference {
        /// The folder to write them into.
        folder: PathBuf,
    },
}

#[derive(Args)]
pub struct ConfigArguments {
    /// The configuration file. Environment variables `DOORWARD_<SECTION>_<KEY>` win over it.
    #[arg(long, env = "DOORWARD_CONFIG")]
    pub config: Option<PathBuf>,
}

#[derive(Args)]
pub struct DevArguments {
    /// Exits after the walk: 0 if every step passed.
    #[arg(long)]
    pub once: bool,
    /// Where the database and the keys live.
    #[arg(long, default_value = "data/dev")]
    pub data_dir: PathBuf,
    /// The authorization server's port.
    #[arg(long, default_value_t = 9000)]
    pub port: u16,
    /// The admin API's port.
    #[arg(long, default_value_t = 9001)]
    pub admin_port: u16,
    /// The demo MCP server's port.
    #[arg(long, default_value_t = 8080)]
    pub demo_port: u16,
}

#[derive(Args)]
pub struct InitArguments {
    /// The file to write.
    #[arg(long, default_value = "doorward.toml")]
    pub config: PathBuf,
    /// The master key file to write.
    #[arg(long, default_value = "data/master.key")]
    pub master_key_file: PathBuf,
    /// The issuer: the public URL of the server.
    #[arg(long, default_value = "http://localhost:9000")]
    pub issuer: String,
}

#[derive(Args)]
pub struct HealthcheckArguments {
    /// The server's own address, not the public one.
    #[arg(long, default_value = "http://127.0.0.1:9000")]
    pub url: String,
}

/// Writes the completion script of a shell to standard output.
pub fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "doorward", &mut script);
    out::line(String::from_utf8_lossy(&script).trim_end());
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// Every command from this one down, with the words that lead to it.
    fn tree(command: &Command, path: &str) -> Vec<(String, Command)> {
        let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
        let below = command.get_subcommands().flat_map(|below| tree(below, &path));
        let below: Vec<_> = below.collect();
        std::iter::once((path, command.clone())).chain(below).collect()
    }

    fn is_sentence(help: Option<&clap::builder::StyledStr>) -> bool {
        help.is_some_and(|help| help.to_string().split_whitespace().count() >= 2)
    }

    #[test]
    fn every_command_and_every_argument_explains_itself() {
        let commands = tree(&Cli::command(), "");
        assert!(
            commands
                .iter()
                .any(|(path, _)| path == "doorward admin client rotate-secret")
        );
        for (path, command) in commands {
            assert!(is_sentence(command.get_about()), "{path} has no sentence");
            for argument in command.get_arguments() {
                assert!(
                    is_sentence(argument.get_help()),
                    "{path}: {} has no sentence",
                    argument.get_id()
                );
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
