//! `doorward migrate`, `doorward backup`, `doorward restore`, `doorward end-grants` and `doorward keys`: work on the database
//! itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use doorward_server::context::Parts;
use doorward_server::keys::MasterKey;
use doorward_server::maintenance::{self, Ended, HangingOnSecrets, IndexWork, Schema};
use doorward_server::random::OsRandom;

use crate::cli::ConfigArguments;
use crate::schema::describe;
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
    /// Ends every grant, session and code that the copy has, so that nothing that was used or revoked after it was made works again.
    #[arg(long)]
    end_grants: bool,
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
    /// Forgets the signing keys and the server's secrets and ends everything that was given out, when they were stolen or the master key is lost. The next start makes others. No server may run.
    NewSecrets(NewSecretsArguments),
}

#[derive(Args)]
pub struct EndGrantsArguments {
    /// Does it; without this it only says what would end.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Args)]
pub struct NewSecretsArguments {
    /// Does it; without this it only says what would end.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Brings the database to this version's schema and stops.
pub async fn migrate(arguments: ConfigArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.as_deref())?;
    let before = maintenance::schema(&settings).await?;
    maintenance::migrate(&settings, Parts::system(), &say_index).await?;
    let place = maintenance::place(&settings);
    out::line(match before {
        None => format!("{place} was made new, with this version's schema."),
        Some(schema) if schema.steps_ahead > 0 => {
            let now = Schema {
                steps_behind: 0,
                indexes_behind: 0,
                ..schema
            };
            format!("{place} has {}.", describe(&now))
        }
        Some(_) => format!("{place} is at this version's schema."),
    });
    Ok(ExitCode::SUCCESS)
}

/// The other steps are done then.
fn say_index(step: &str, work: IndexWork) {
    out::note(match work {
        IndexWork::Begun => format!("{step}: making an index; servers work on meanwhile"),
        IndexWork::Leftover => format!("{step}: removing an index that was not finished; it is made anew"),
        IndexWork::At {
            phase,
            percent: Some(percent),
        } => format!("{step}: {phase}, {percent} %"),
        IndexWork::At { phase, percent: None } => format!("{step}: {phase}"),
        IndexWork::Made => format!("{step}: the index is there"),
        IndexWork::Elsewhere => format!("{step}: waiting for a server, which makes this index"),
    });
}

/// Copies the database to a file.
pub async fn backup(arguments: BackupArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    let found = maintenance::backup(&settings, &arguments.file, Parts::system()).await?;
    out::line(format!(
        "Wrote {} ({} bytes, mode 0600): read from end to end, its schema is {}, and the master key opens it.",
        arguments.file.display(),
        found.bytes,
        found.schema.last
    ));
    out::line("Keep the master key apart from it: without it nothing in there can be used.");
    Ok(ExitCode::SUCCESS)
}

/// Puts a copy in the place of the database.
pub async fn restore(arguments: RestoreArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    let RestoreArguments {
        file,
        replace,
        end_grants,
        ..
    } = &arguments;
    let restored = maintenance::restore(&settings, file, *replace, *end_grants, Parts::system()).await?;
    out::line(format!(
        "{} is {} now: read from end to end, its schema is {}, and the master key opens it.",
        restored.path.display(),
        arguments.file.display(),
        restored.inspection.schema.last
    ));
    let Schema {
        steps_behind,
        steps_ahead,
        ..
    } = restored.inspection.schema;
    if steps_behind > 0 {
        out::line("It was brought to this version's schema.");
    } else if steps_ahead > 0 {
        out::line("That is the schema of a newer version, which this one works with.");
    }
    if let Some(replaced) = &restored.replaced {
        out::line(format!("The database before is {}.", replaced.display()));
    }
    match &restored.ended {
        Some(ended) => say_ended(ended),
        None => out::line(
            "Whatever happened after the copy was made is undone: refresh tokens, codes, assertions and proofs that were used since, and grants and sessions that were ended since, may work again. `doorward end-grants --yes` ends them all before the server starts; without it, revoke again what was revoked.",
        ),
    }
    say_secrets();
    Ok(ExitCode::SUCCESS)
}

/// Ends everything that was given out.
pub async fn end_grants(arguments: EndGrantsArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    if !arguments.yes {
        let hanging = maintenance::hanging_on_secrets(&settings).await?;
        out::line(format!(
            "This ends {} grants with their codes and refresh tokens, {} sessions and every waiting device, and forgets consents and initial access tokens that count their uses.",
            hanging.grants, hanging.sessions
        ));
        out::note("nothing was done; say --yes");
        return Ok(ExitCode::SUCCESS);
    }
    let ended = maintenance::end_grants(&settings, Parts::system()).await?;
    say_ended(&ended);
    say_secrets();
    Ok(ExitCode::SUCCESS)
}

fn say_ended(ended: &Ended) {
    out::line(format!(
        "Ended: {} grants with their codes and refresh tokens, {} sessions, {} waiting devices; forgotten: {} consents, {} initial access tokens that count their uses. Proofs and assertions from before now are refused.",
        ended.grants, ended.sessions, ended.devices, ended.consents, ended.initial_tokens
    ));
}

/// What no command can know.
fn say_secrets() {
    out::line(
        "Passwords, client secrets, registration and admin keys that were replaced after the state of this database work again: replace them again.",
    );
    out::line(
        "Signing keys that were withdrawn after it sign again, or are published again: withdraw them again (`doorward admin key revoke`) before anybody is let in.",
    );
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
        KeysCommand::NewSecrets(arguments) => new_secrets(&arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn new_secrets(arguments: &NewSecretsArguments) -> anyhow::Result<()> {
    let settings = serve::load(arguments.config.config.as_deref())?;
    if !arguments.yes {
        let hanging = maintenance::hanging_on_secrets(&settings).await?;
        out::line(format!(
            "New secrets end {} signing keys, {} grants with their codes and refresh tokens, {} sessions, and the secrets of {} clients of operators and {} that registered themselves.",
            hanging.signing_keys, hanging.grants, hanging.sessions, hanging.clients, hanging.self_registered
        ));
        say_who_needs_secrets(&hanging);
        out::note("nothing was done; stop every server, and say --yes");
        return Ok(());
    }
    if settings.storage.transaction_pooler {
        out::note(
            "behind a pooler nobody sees whether a server runs: one that does goes on with the old secrets; stop it",
        );
    }
    let (forgotten, hanging) = maintenance::new_secrets(&settings, Parts::system()).await?;
    out::line(format!(
        "Forgotten: {} signing keys and {} secrets of the server. The next start makes others, under the master key in {}: put another one there first if it may be known (`doorward keys new-master`).",
        forgotten.signing_keys,
        forgotten.server_secrets,
        maintenance::master_key_place(&settings)
    ));
    say_ended(&forgotten.ended);
    say_who_needs_secrets(&hanging);
    Ok(())
}

/// Digests of clients' secrets are made under the server's.
fn say_who_needs_secrets(hanging: &HangingOnSecrets) {
    if hanging.self_registered > 0 {
        out::line(format!(
            "{} clients that registered themselves with a secret have to register again.",
            hanging.self_registered
        ));
    }
    if hanging.clients == 0 {
        return;
    }
    out::line(format!(
        "{} clients of operators need a new secret (`doorward admin client rotate-secret ID --overlap-seconds 0`):",
        hanging.clients
    ));
    for (id, name) in &hanging.first_clients {
        out::line(format!("  {id}  {name}"));
    }
    let more = hanging.clients.saturating_sub(hanging.first_clients.len() as u64);
    if more > 0 {
        out::line(format!("  and {more} more (`doorward admin client list`)"));
    }
}
