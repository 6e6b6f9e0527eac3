//! `doorward check-config`.

use std::process::ExitCode;

use clap::Args;
use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::maintenance::{self, Found};

use crate::cli::ConfigArguments;
use crate::schema::describe;
use crate::{out, serve};

#[derive(Args)]
pub struct CheckConfigArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Also asks the database whether it answers, what is in it, and whether the master key opens it. Changes nothing; a server may run meanwhile.
    #[arg(long)]
    database: bool,
}

/// Prints what `serve` would run with; secrets are redacted. What the URL of the database and the files of keys say is
/// looked at, and whether the database answers only when that is asked for.
pub async fn run(arguments: CheckConfigArguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.config.as_deref();
    let settings = serve::load(config)?;
    maintenance::check(&settings)?;
    if let Some(warning) = config.and_then(|path| settings.open_secrets(path)) {
        out::note(warning);
    }
    let found = if arguments.database {
        Some(maintenance::look(&settings, &Parts::system()).await?)
    } else {
        None
    };
    let rows = settings.in_force();
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, value, origin) in &rows {
        out::line(format!("{name:<width$}  {value}  ({})", origin.as_str()));
    }
    out::line("The configuration is good.");
    if let Some(found) = found {
        out::line(sentence(&settings, &found));
    }
    Ok(ExitCode::SUCCESS)
}

fn sentence(settings: &Settings, found: &Found) -> String {
    let database = maintenance::place(settings);
    let key = maintenance::master_key_place(settings);
    let makes_key = found.makes_master_key.is_some();
    match &found.schema {
        None if makes_key => {
            format!(
                "There is nothing in {database} yet: the first start makes it, and a master key in {key}."
            )
        }
        None => format!("There is nothing in {database} yet: the first start makes it."),
        Some(schema) => {
            let schema = describe(schema);
            if makes_key {
                format!(
                    "{database} has {schema}; nothing in it is sealed, and the start makes a master key in {key}."
                )
            } else {
                format!("{database} has {schema}, and the master key opens it.")
            }
        }
    }
}
