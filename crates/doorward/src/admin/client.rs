//! `doorward admin client`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, path};
use super::input;
use super::list::{self, Paging};
use super::other_servers::set_disabled;

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
    List(List),
    /// Shows a client.
    Get {
        /// Its `client_id`.
        client_id: String,
    },
    /// Changes a client.
    Update(Update),
    /// Disables a client: it gets nothing.
    Disable {
        /// Its `client_id`.
        client_id: String,
    },
    /// Lets a disabled client work again.
    Enable {
        /// Its `client_id`.
        client_id: String,
    },
    /// Removes a client and ends its grants.
    Delete {
        /// Its `client_id`.
        client_id: String,
    },
    /// Makes a new secret; the old ones (five at most) keep working for a while. When the answer was lost, run it again.
    RotateSecret {
        /// Its `client_id`.
        client_id: String,
        /// For how many seconds the old ones work, where none ends earlier by itself; a day when absent, 0 to end them at once.
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
    /// It has to send its authorization requests in advance (PAR).
    #[arg(long)]
    require_par: bool,
    /// `native` or `web`; what its redirect URIs look like when absent.
    #[arg(long)]
    application_type: Option<String>,
    /// The grants it may use. May be repeated; `authorization_code` and `refresh_token` when absent.
    #[arg(long = "grant-type")]
    grant_types: Vec<String>,
    /// The slug of the resource that this client is: it may introspect that resource's tokens. Without redirect URIs
    /// it may do nothing else.
    #[arg(long)]
    resource_server: Option<String>,
    /// It gets nothing until it is enabled.
    #[arg(long)]
    disabled: bool,
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
    /// A file with its public keys from now on (a JWK set).
    #[arg(long, conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where its public keys are from now on.
    #[arg(long)]
    jwks_uri: Option<String>,
    /// Whether it gets tokens that are bound to a `DPoP` key, and no others.
    #[arg(long)]
    require_dpop: Option<bool>,
    /// Whether it has to send its authorization requests in advance (PAR).
    #[arg(long)]
    require_par: Option<bool>,
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
            ("application_type", self.application_type),
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
        if self.require_par {
            body["require_pushed_authorization_requests"] = true.into();
        }
        if let Some(file) = &self.jwks {
            body["jwks"] = key_set(file)?;
        }
        input::disabled(self.disabled, &mut body);
        Ok(body)
    }
}

impl Update {
    /// What was said and no more.
    fn into_json(self) -> anyhow::Result<Value> {
        let mut body = json!({});
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        put("client_name", self.name.map(Value::from));
        let uris = (!self.redirect_uris.is_empty()).then_some(self.redirect_uris);
        put("redirect_uris", uris.map(Value::from));
        put("scope", self.scope.map(Value::from));
        put("jwks", self.jwks.as_deref().map(key_set).transpose()?);
        put("jwks_uri", self.jwks_uri.map(Value::from));
        put("dpop_bound_access_tokens", self.require_dpop.map(Value::from));
        put(
            "require_pushed_authorization_requests",
            self.require_par.map(Value::from),
        );
        put("disabled", self.disabled.map(Value::from));
        Ok(body)
    }
}

fn key_set(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

#[derive(Clone, Copy, ValueEnum)]
enum Source {
    /// An operator registered it.
    Admin,
    /// It registered itself.
    Dynamic,
    /// A client ID metadata document.
    #[value(name = "metadata_document")]
    MetadataDocument,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Dynamic => "dynamic",
            Self::MetadataDocument => "metadata_document",
        }
    }
}

#[derive(Args)]
pub struct List {
    /// Only clients with this text in their name or `client_id`, whatever the case.
    #[arg(long)]
    search: Option<String>,
    /// Only clients that became known this way.
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// Only disabled clients (`true`), or only enabled ones.
    #[arg(long)]
    disabled: Option<bool>,
    #[command(flatten)]
    paging: Paging,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let body = create.into_json()?;
            let made = api.call(Method::POST, "/admin/clients", Some(&body)).await?;
            return print_secret(api, &made);
        }
        Command::List(asked) => {
            let disabled = asked.disabled.map(|disabled| disabled.to_string());
            let filters = [
                ("search", asked.search.as_deref()),
                ("source", asked.source.map(Source::as_str)),
                ("disabled", disabled.as_deref()),
            ];
            let all = list::List {
                filters: &filters,
                ..list::List::at("/admin/clients", &COLUMNS)
            };
            return all.print(api, &asked.paging).await;
        }
        Command::Get { client_id } => {
            api.call(Method::GET, &path("/admin/clients", &client_id), None)
                .await?
        }
        Command::Update(update) => {
            let path = path("/admin/clients", &update.client_id);
            let body = input::change::<Update>(update.into_json()?)?;
            api.call(Method::PATCH, &path, Some(&body)).await?
        }
        Command::Disable { client_id } => set_disabled(api, "/admin/clients", &client_id, true).await?,
        Command::Enable { client_id } => set_disabled(api, "/admin/clients", &client_id, false).await?,
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
            let rotated = api.call(Method::POST, &path, body.as_ref()).await?;
            return print_secret(api, &rotated);
        }
    };
    api.print(&answer, &COLUMNS)
}

/// Not every client has a secret.
fn print_secret(api: &Api, client: &Value) -> anyhow::Result<()> {
    if client["client_secret"].is_null() {
        return api.print(client, &COLUMNS);
    }
    let id = client["client_id"].as_str().unwrap_or("CLIENT_ID");
    let way_on = format!("`doorward admin client rotate-secret {id}` makes another");
    api.print_once(client, &COLUMNS, &way_on)
}
