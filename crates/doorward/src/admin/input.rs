//! What must not be an argument, because other users of the machine see those.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::failure::Failure;

/// A change that says what to change. One that does not is refused before the admin key is sent anywhere: somebody may have
/// written `--url` for what they wanted to change.
pub fn change<Options: Args>(body: Value) -> anyhow::Result<Value> {
    if body.as_object().is_some_and(|members| !members.is_empty()) {
        return Ok(body);
    }
    let command = Options::augment_args(clap::Command::new("update"));
    let options = command.get_arguments().filter(|option| !option.is_hide_set());
    let names: Vec<String> = options
        .filter_map(|option| option.get_long().map(|name| format!("--{name}")))
        .collect();
    bail!(Failure::usage(format!(
        "nothing to change, and nothing was sent: give at least one of {}",
        names.join(", ")
    )))
}

/// A record that is to be disabled from the beginning.
pub fn disabled(disabled: bool, body: &mut Value) {
    if disabled {
        body["disabled"] = true.into();
    }
}

/// From the terminal without showing it, else a line of standard input.
pub fn secret(prompt: &str, name: &str) -> anyhow::Result<String> {
    let unreadable = || format!("{name} could not be read from standard input");
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).with_context(unreadable);
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .with_context(unreadable)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
