//! `doorward admin key`.

use clap::Subcommand;
use reqwest::Method;

use super::api::Api;

const COLUMNS: [&str; 4] = ["key_id", "algorithm", "state", "created_at"];

#[derive(Subcommand)]
pub enum Command {
    /// Lists the signing keys, newest first.
    List,
    /// Makes a new signing key; the one before stays published until its last token expired.
    Rotate,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::List => api.call(Method::GET, "/admin/keys", None).await?,
        Command::Rotate => api.call(Method::POST, "/admin/keys/rotate", None).await?,
    };
    api.print(&answer, &COLUMNS)
}
