//! What must not be an argument, because other users of the machine see those.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::Context as _;

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
