//! `doorward admin key`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::api::{Api, path};

const COLUMNS: [&str; 5] = ["key_id", "algorithm", "state", "starts_at", "stops_at"];

#[derive(Subcommand)]
pub enum Command {
    /// Lists the signing keys, newest first.
    List,
    /// Shows a signing key.
    Get {
        /// The key's id (`kid`), which may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        key_id: String,
    },
    /// Makes the next signing key. It signs when it has been published for `keys.publish_ahead`; the one before stays published until its last token expired.
    Rotate {
        /// Lets another key sign at once: verifiers refuse its tokens until they ask for the keys again.
        #[arg(long)]
        now: bool,
    },
    /// Withdraws a signing key that others may have. Its tokens count no more; when it signs, another one does at once.
    Revoke {
        /// The key's id (`kid`), which may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        key_id: String,
    },
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::List => api.call(Method::GET, "/admin/keys", None).await?,
        Command::Get { key_id } => api.call(Method::GET, &path("/admin/keys", &key_id), None).await?,
        Command::Rotate { now } => {
            let body = json!({"now": now});
            api.call(Method::POST, "/admin/keys/rotate", Some(&body)).await?
        }
        Command::Revoke { key_id } => {
            let path = format!("{}/revoke", path("/admin/keys", &key_id));
            let signs = api.call(Method::POST, &path, None).await?;
            api.done(&format!("{key_id} is withdrawn. The key that signs:"));
            signs
        }
    };
    api.print(&answer, &COLUMNS)
}
