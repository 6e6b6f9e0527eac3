//! `doorward admin admin-key`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::api::{Api, path};

const COLUMNS: [&str; 3] = ["id", "name", "created_at"];
const BASE: &str = "/admin/admin-keys";

#[derive(Subcommand)]
pub enum Command {
    /// Makes an admin key. It is shown once.
    Create {
        /// Whose it is, or what it is for: the audit list names its holder so.
        #[arg(long)]
        name: String,
    },
    /// Lists the admin keys that are stored, newest first (at most 100); `admin.bootstrap_key` is not among them.
    List,
    /// Shows an admin key, without the key itself.
    Get {
        /// Its id.
        id: String,
    },
    /// Deletes an admin key: it counts no more. The last one stays, unless `admin.bootstrap_key` is set.
    Delete {
        /// Its id.
        id: String,
    },
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create { name } => {
            let body = json!({"name": name});
            let made = api.call(Method::POST, BASE, Some(&body)).await?;
            let id = made["id"].as_str().unwrap_or("ID");
            let way_on = format!("delete it (`doorward admin admin-key delete {id}`), and create another");
            return api.print_once(&made, &COLUMNS, &way_on);
        }
        Command::List => api.call(Method::GET, BASE, None).await?,
        Command::Get { id } => api.call(Method::GET, &path(BASE, &id), None).await?,
        Command::Delete { id } => {
            api.call(Method::DELETE, &path(BASE, &id), None).await?;
            api.done("The admin key counts no more.");
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}
