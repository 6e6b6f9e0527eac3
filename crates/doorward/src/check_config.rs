//! `doorward check-config`.

use std::process::ExitCode;

use crate::cli::ConfigArguments;
use crate::{out, serve};

/// Prints what `serve` would run with; secrets are redacted. What the URL of the database and the files of keys say is
/// looked at, and not whether the database answers.
pub fn run(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    let settings = serve::load(arguments.config.as_deref())?;
    doorward_server::check(&settings)?;
    if let Some(warning) = arguments
        .config
        .as_deref()
        .and_then(|path| settings.open_secrets(path))
    {
        out::note(warning);
    }
    let rows = settings.in_force();
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, value, origin) in &rows {
        out::line(format!("{name:<width$}  {value}  ({})", origin.as_str()));
    }
    out::line("The configuration is good.");
    Ok(ExitCode::SUCCESS)
}
