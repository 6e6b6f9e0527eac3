//! `doorward admin client`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

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
    /// Makes a new secret; the old one keeps working for a while.
    RotateSecret {
        /// Its `client_id`.
        client_id: String,
        /// For how many seconds the old one works; a day when absent, 0 to end it at once.
        #[arg(long)]
        overlap_seconds: Option<u64>,
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
    /// `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`. When absent `none`; with
    /// `client_credentials`, token exchange or JWT bearer among its grants `client_secret_basic`, or `private_key_jwt` with
    /// keys.
    #[arg(long)]
    auth_method: Option<String>,
    /// The scopes it means to ask for, separated by spaces; the limit of `client_credentials`.
    #[arg(long)]
    scope: Option<String>,
    /// A file with its public keys (a JWK set).
    #[arg(long, conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where its public keys are.
    #[arg(long)]
    jwks_uri: Option<String>,
    /// It gets tokens that are bound to a `DPoP` key, and no others.
    #[arg(long)]
    require_dpop: bool,
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
    /// The scopes it means to ask for, separated by spaces; the limit of `client_credentials`.
    #[arg(long)]
    scope: Option<String>,
    /// A disabled client gets nothing.
    #[arg(long)]
    disabled: Option<bool>,
}

impl Create {
    /// What was said and no more: what a client may do by default depends on what it is.
    fn into_json(self) -> anyhow::Result<Value> {
        let mut body = json!({"client_name": self.name, "redirect_uris": self.redirect_uris});
        let texts = [
            ("token_endpoint_auth_method", self.auth_method),
            ("scope", self.scope),
            ("jwks_uri", self.jwks_uri),
            ("resource_server", self.resource_server),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                body[name] = text.into();
            }
        }
        if !self.grant_types.is_empty() {
            body["grant_types"] = self.grant_types.into();
        }
        if self.require_dpop {
            body["dpop_bound_access_tokens"] = true.into();
        }
        if let Some(path) = &self.jwks {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            body["jwks"] =
                serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        }
        Ok(body)
    }
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let body = create.into_json()?;
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
            if let Some(scope) = update.scope {
                body["scope"] = scope.into();
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
        Command::RotateSecret {
            client_id,
            overlap_seconds,
        } => {
            let path = format!("{}/rotate-secret", path("/admin/clients", &client_id));
            let body = overlap_seconds.map(|seconds| json!({"overlap_seconds": seconds}));
            api.call(Method::POST, &path, body.as_ref()).await?
        }
    };
    api.print(&answer, &COLUMNS)
}
