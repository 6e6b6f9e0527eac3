//! `doorward backup`, `doorward restore` and `doorward keys`: work on the database itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use doorward_server::context::Parts;
use doorward_server::keys::MasterKey;
use doorward_server::maintenance;
use doorward_server::random::OsRandom;

use crate::cli::ConfigArguments;
use crate::{init, out, serve};

#[derive(Args)]
pub struct BackupArguments {
    /// The file to write; it must not exist.
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Args)]
pub struct RestoreArguments {
    /// The copy, as `doorward backup` wrote it.
    file: PathBuf,
    /// Replaces the database that is there, and keeps it beside the new one under another name.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Writes a new master key to a file (mode 0600).
    NewMaster {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Seals everything anew under the master key of the settings that is sealed under the other one. It can be stopped and begun again.
    RotateMaster(ConfigArguments),
}

/// Copies the database to a file.
pub async fn backup(arguments: BackupArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    let found = maintenance::backup(&settings, &arguments.file, Parts::system()).await?;
    out::line(format!(
        "Wrote {} ({} bytes, mode 0600): read from end to end, its schema is {}, and the master key opens it.",
        arguments.file.display(),
        found.bytes,
        found.schema
    ));
    out::line("Keep the master key apart from it: without it nothing in there can be used.");
    Ok(ExitCode::SUCCESS)
}

/// Puts a copy in the place of the database.
pub async fn restore(arguments: RestoreArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    let restored =
        maintenance::restore(&settings, &arguments.file, arguments.replace, Parts::system()).await?;
    out::line(format!(
        "{} is {} now: read from end to end, its schema is {}, and the master key opens it.",
        restored.path.display(),
        arguments.file.display(),
        restored.inspection.schema
    ));
    if restored.inspection.steps_behind > 0 {
        out::line("`doorward serve` brings it to this version's schema.");
    }
    if let Some(replaced) = &restored.replaced {
        out::line(format!("The database before is {}.", replaced.display()));
    }
    out::line(
        "Whatever happened after the copy was made is undone: revoke again what was revoked since, and expect clients to sign in again.",
    );
    Ok(ExitCode::SUCCESS)
}

/// Works on the keys.
pub async fn keys(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::NewMaster { file } => {
            let key = MasterKey::generate_text(&OsRandom::default());
            init::write_secret(&file, &format!("{}\n", *key))?;
            out::line(format!(
                "Wrote {} (mode 0600). Keep a copy apart from the database.",
                file.display()
            ));
        }
        KeysCommand::RotateMaster(arguments) => {
            let settings = serve::load(arguments.config.as_deref())?;
            let resealed = maintenance::rotate_master_key(&settings, Parts::system()).await?;
            out::line(format!(
                "Everything is sealed under the master key now: {} of {} were sealed anew.",
                resealed.changed, resealed.seen
            ));
            out::line(
                "Restart every server without the other master key, and keep that one as long as the backups that need it.",
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
