//! `doorward admin assertion-audience`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, path};
use super::input;
use super::list::{List, Paging};
use super::other_servers::{names, rule, set_disabled};

const COLUMNS: [&str; 3] = ["slug", "issuer", "disabled"];
const BASE: &str = "/admin/assertion-audiences";

#[derive(Subcommand)]
pub enum Command {
    /// Vouches to another authorization server. Without rules nobody gets an assertion for it.
    Create(Create),
    /// Lists the servers that get assertions.
    List(Paging),
    /// Shows such a server with its rules.
    Get {
        /// Its short name.
        slug: String,
    },
    /// Changes the terms on which it gets assertions.
    Update(Update),
    /// Gives no assertions for it until it is enabled.
    Disable {
        /// Its short name.
        slug: String,
    },
    /// Gives assertions for it again.
    Enable {
        /// Its short name.
        slug: String,
    },
    /// Vouches to it no more.
    Delete {
        /// Its short name.
        slug: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// Short name: lower-case letters, digits and hyphens.
    #[arg(long)]
    slug: String,
    /// Its issuer, exactly.
    #[arg(long)]
    issuer: String,
    /// It gets no assertions until it is enabled.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Args)]
pub struct Update {
    /// Its short name.
    slug: String,
    #[command(flatten)]
    terms: Terms,
}

/// On what terms it gets assertions.
#[derive(Args)]
struct Terms {
    /// Seconds that an assertion is good.
    #[arg(long)]
    lifetime: Option<u32>,
    /// What it is told of the person: `email`, `name`. May be repeated; replaces all.
    #[arg(long = "person-claim", conflicts_with = "no_person_claims")]
    person_claims: Vec<String>,
    /// It is told nothing of the person any more.
    #[arg(long)]
    no_person_claims: bool,
    /// What it calls a client: `CLIENT_ID_HERE=CLIENT_ID_THERE`. May be repeated; replaces all.
    #[arg(long = "client-name", conflicts_with = "no_client_names")]
    client_names: Vec<String>,
    /// It calls every client as this server does.
    #[arg(long)]
    no_client_names: bool,
    /// A rule as JSON: `{"name":"all","client_ids":["…"],"resource":"URI","scope":"…"}`. May be repeated; replaces all.
    #[arg(long = "rule", value_parser = rule, conflicts_with = "no_rules")]
    rules: Vec<Value>,
    /// Nobody gets an assertion for it.
    #[arg(long)]
    no_rules: bool,
}

impl Terms {
    fn put_into(self, body: &mut Value) -> anyhow::Result<()> {
        if let Some(lifetime) = self.lifetime {
            body["lifetime"] = lifetime.into();
        }
        if self.no_person_claims || !self.person_claims.is_empty() {
            body["person_claims"] = self.person_claims.into();
        }
        if self.no_client_names || !self.client_names.is_empty() {
            body["client_names"] = names("--client-name", self.client_names)?;
        }
        if self.no_rules || !self.rules.is_empty() {
            body["rules"] = self.rules.into();
        }
        Ok(())
    }
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut body = json!({"slug": create.slug, "issuer": create.issuer});
            input::disabled(create.disabled, &mut body);
            create.terms.put_into(&mut body)?;
            api.call(Method::POST, BASE, Some(&body)).await?
        }
        Command::List(paging) => return List::at(BASE, &COLUMNS).print(api, &paging).await,
        Command::Get { slug } => api.call(Method::GET, &path(BASE, &slug), None).await?,
        Command::Update(update) => {
            let mut body = json!({});
            update.terms.put_into(&mut body)?;
            let body = input::change::<Update>(body)?;
            api.call(Method::PATCH, &path(BASE, &update.slug), Some(&body))
                .await?
        }
        Command::Disable { slug } => set_disabled(api, BASE, &slug, true).await?,
        Command::Enable { slug } => set_disabled(api, BASE, &slug, false).await?,
        Command::Delete { slug } => {
            api.call(Method::DELETE, &path(BASE, &slug), None).await?;
            api.done("The server gets no assertions any more.");
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}
