//! `doorward admin grant`.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::api::{Api, page_query, path};

const COLUMNS: [&str; 7] = [
    "id",
    "subject",
    "client_id",
    "resource",
    "scope",
    "state",
    "end_reason",
];

#[derive(Subcommand)]
pub enum Command {
    /// Lists grants, newest first.
    List(List),
    /// Shows a grant.
    Get {
        /// Its id: the `gid` claim of its tokens.
        id: String,
    },
    /// Ends a grant with everything that hangs on it.
    Revoke {
        /// Its id: the `gid` claim of its tokens.
        id: String,
    },
}

#[derive(Args)]
pub struct List {
    /// Of this person (id).
    #[arg(long)]
    user: Option<String>,
    /// Of this client.
    #[arg(long)]
    client_id: Option<String>,
    /// On this resource (URI).
    #[arg(long)]
    resource: Option<String>,
    /// `pending`, `active` or `ended`.
    #[arg(long)]
    state: Option<String>,
    /// `next` of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// Rows on a page.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::List(list) => {
            let filters = [
                ("user", list.user.as_deref()),
                ("client_id", list.client_id.as_deref()),
                ("resource", list.resource.as_deref()),
                ("state", list.state.as_deref()),
            ];
            let query = page_query(list.cursor.as_deref(), list.limit, &filters);
            api.call(Method::GET, &format!("/admin/grants{query}"), None)
                .await?
        }
        Command::Get { id } => api.call(Method::GET, &path("/admin/grants", &id), None).await?,
        Command::Revoke { id } => {
            api.call(Method::DELETE, &path("/admin/grants", &id), None)
                .await?;
            api.done(
                "The grant has ended: its refresh tokens are dead, its access tokens expire within minutes.",
            );
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}
