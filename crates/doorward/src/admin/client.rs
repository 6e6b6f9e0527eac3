//! `doorward admin client`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::api::{Api, page_query, path};

const COLUMNS: [&str; 5] = [
    "client_id",
    "client_name",
    "source",
    "token_endpoint_auth_method",
    "disabled",
];

#[derive(Subcommand)]
pub enum Command {
    /// Registers a client. Its secret, if it has one, is shown once.
    Create(Create),
    /// Lists the clients.
    List {
        /// `next` of the page before.
        #[arg(long)]
        cursor: Option<String>,
        /// Rows on a page.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows a client.
    Get {
        /// Its `client_id`.
        client_id: String,
    },
    /// Changes a client.
    Update(Update),
    /// Removes a client and ends its grants.
    Delete {
        /// Its `client_id`.
        client_id: String,
    },
    /// Makes a new secret; the old one keeps working for a day.
    RotateSecret {
        /// Its `client_id`.
        client_id: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// Shown to people.
    #[arg(long)]
    name: String,
    /// Where codes may be sent. May be repeated.
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<String>,
    /// `none`, `client_secret_basic` or `client_secret_post`.
    #[arg(long, default_value = "none")]
    auth_method: String,
    /// The grants it may use. May be repeated; `authorization_code` and `refresh_token` when absent.
    #[arg(long = "grant-type")]
    grant_types: Vec<String>,
    /// The slug of the resource that this client is: it may introspect that resource's tokens. Without redirect URIs
    /// it may do nothing else.
    #[arg(long)]
    resource_server: Option<String>,
}

#[derive(Args)]
pub struct Update {
    /// Its `client_id`.
    client_id: String,
    /// Shown to people.
    #[arg(long)]
    name: Option<String>,
    /// Where codes may be sent; replaces all. May be repeated.
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<String>,
    /// A disabled client gets nothing.
    #[arg(long)]
    disabled: Option<bool>,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut body = json!({
                "client_name": create.name,
                "redirect_uris": create.redirect_uris,
                "token_endpoint_auth_method": create.auth_method,
            });
            // Absent, not empty: what a client may do by default depends on what it is.
            if !create.grant_types.is_empty() {
                body["grant_types"] = create.grant_types.into();
            }
            if let Some(slug) = create.resource_server {
                body["resource_server"] = slug.into();
            }
            api.call(Method::POST, "/admin/clients", Some(&body)).await?
        }
        Command::List { cursor, limit } => {
            let query = page_query(cursor.as_deref(), limit, &[]);
            api.call(Method::GET, &format!("/admin/clients{query}"), None)
                .await?
        }
        Command::Get { client_id } => {
            api.call(Method::GET, &path("/admin/clients", &client_id), None)
                .await?
        }
        Command::Update(update) => {
            let mut body = json!({});
            if let Some(name) = update.name {
                body["client_name"] = name.into();
            }
            if !update.redirect_uris.is_empty() {
                body["redirect_uris"] = update.redirect_uris.into();
            }
            if let Some(disabled) = update.disabled {
                body["disabled"] = disabled.into();
            }
            api.call(
                Method::PATCH,
                &path("/admin/clients", &update.client_id),
                Some(&body),
            )
            .await?
        }
        Command::Delete { client_id } => {
            api.call(Method::DELETE, &path("/admin/clients", &client_id), None)
                .await?;
            api.done("The client is gone and its grants have ended.");
            return Ok(());
        }
        Command::RotateSecret { client_id } => {
            let path = format!("{}/rotate-secret", path("/admin/clients", &client_id));
            api.call(Method::POST, &path, None).await?
        }
    };
    api.print(&answer, &COLUMNS)
}
