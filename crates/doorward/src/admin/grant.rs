//! `doorward admin grant`.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::json;

use super::api::{Api, path};
use super::list::{self, Paging};
use super::user;

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
    /// Ends every grant of a person, of a client, on a resource, or of all that is said together.
    RevokeAll(RevokeAll),
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct RevokeAll {
    /// Of this person (id, or e-mail address).
    #[arg(long)]
    user: Option<String>,
    /// Of this client.
    #[arg(long)]
    client_id: Option<String>,
    /// On this resource (URI).
    #[arg(long)]
    resource: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    /// Allowed; its code has not been redeemed.
    Pending,
    /// Tokens were issued.
    Active,
    /// Over.
    Ended,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

#[derive(Args)]
pub struct List {
    /// Of this person (id, or e-mail address).
    #[arg(long)]
    user: Option<String>,
    /// Of this client.
    #[arg(long)]
    client_id: Option<String>,
    /// On this resource (URI).
    #[arg(long)]
    resource: Option<String>,
    /// That stand so.
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    paging: Paging,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::List(asked) => {
            let user = user::id_if_any(api, asked.user).await?;
            let filters = [
                ("user", user.as_deref()),
                ("client_id", asked.client_id.as_deref()),
                ("resource", asked.resource.as_deref()),
                ("state", asked.state.map(State::as_str)),
            ];
            let all = list::List {
                filters: &filters,
                ..list::List::at("/admin/grants", &COLUMNS)
            };
            return all.print(api, &asked.paging).await;
        }
        Command::Get { id } => api.call(Method::GET, &path("/admin/grants", &id), None).await?,
        Command::Revoke { id } => {
            api.call(Method::DELETE, &path("/admin/grants", &id), None)
                .await?;
            api.done(
                "The grant has ended: its refresh tokens are dead. Guards that follow the revocation feed refuse its access tokens at once, others when they expire.",
            );
            return Ok(());
        }
        Command::RevokeAll(all) => {
            let user = user::id_if_any(api, all.user).await?;
            let body = json!({"user": user, "client_id": all.client_id, "resource": all.resource});
            api.call(Method::POST, "/admin/grants/revoke", Some(&body))
                .await?
        }
    };
    api.print(&answer, &COLUMNS)
}
