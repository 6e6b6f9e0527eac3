//! `doorward admin initial-token`.

use clap::{Args, Subcommand};
use doorward_server::config::Span;
use reqwest::Method;
use serde_json::json;

use super::api::{Api, path};
use super::list::{List, Paging};

const COLUMNS: [&str; 5] = ["id", "name", "uses_left", "created_at", "expires_at"];
const BASE: &str = "/admin/initial-access-tokens";

#[derive(Subcommand)]
pub enum Command {
    /// Makes a token with which clients register. It is shown once.
    Create(Create),
    /// Lists the tokens, newest first.
    List(Paging),
    /// Shows a token, without the token itself.
    Get {
        /// Its id.
        id: String,
    },
    /// Removes a token. Clients that registered with it stay.
    Delete {
        /// Its id.
        id: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// What it is for.
    #[arg(long)]
    name: String,
    /// How many clients may register with it; any number when absent.
    #[arg(long)]
    uses: Option<u32>,
    /// How long it works, such as `1d`; for ever when absent.
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut body = json!({"name": create.name});
            if let Some(uses) = create.uses {
                body["uses"] = uses.into();
            }
            if let Some(time) = create.expires_in {
                body["expires_in"] = time.duration().as_secs().into();
            }
            let made = api.call(Method::POST, BASE, Some(&body)).await?;
            let id = made["id"].as_str().unwrap_or("ID");
            let way_on =
                format!("delete it (`doorward admin initial-token delete {id}`), and create another");
            return api.print_once(&made, &COLUMNS, &way_on);
        }
        Command::List(paging) => return List::at(BASE, &COLUMNS).print(api, &paging).await,
        Command::Get { id } => api.call(Method::GET, &path(BASE, &id), None).await?,
        Command::Delete { id } => {
            api.call(Method::DELETE, &path(BASE, &id), None).await?;
            api.done("The token is gone.");
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}
