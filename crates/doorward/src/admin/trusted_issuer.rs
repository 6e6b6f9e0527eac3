//! `doorward admin trusted-issuer`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, named, path};
use super::input;
use super::list::{List, Paging};
use super::other_servers::{names, rule, set_disabled};
use super::user;

const COLUMNS: [&str; 4] = ["slug", "kind", "issuer", "disabled"];
const LINK_COLUMNS: [&str; 2] = ["subject", "user"];
const BASE: &str = "/admin/trusted-issuers";

#[derive(Subcommand)]
pub enum Command {
    /// Trusts an issuer. Without rules its word is good for nothing.
    Create(Create),
    /// Lists the trusted issuers.
    List(Paging),
    /// Shows a trusted issuer with its rules.
    Get {
        /// Its short name.
        slug: String,
    },
    /// Changes the terms on which an issuer is trusted.
    Update(Update),
    /// Disables an issuer: its word does not count, and the grants on it end.
    Disable {
        /// Its short name.
        slug: String,
    },
    /// Lets the word of a disabled issuer count again.
    Enable {
        /// Its short name.
        slug: String,
    },
    /// Trusts an issuer no more, forgets its links and ends the grants on its word.
    Delete {
        /// Its short name.
        slug: String,
    },
    /// Says whom an identity provider means by a subject.
    Link {
        /// The issuer's short name.
        slug: String,
        /// `sub`, exactly as the issuer writes it; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        subject: String,
        /// The person's id, or e-mail address.
        #[arg(long)]
        user: String,
    },
    /// Forgets whom a subject means, and ends that person's grants on the issuer's word.
    Unlink {
        /// The issuer's short name.
        slug: String,
        /// `sub`, exactly as the issuer writes it; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        subject: String,
    },
    /// Lists whom an identity provider means.
    Links {
        /// The issuer's short name.
        slug: String,
        /// Only the link of this `sub`, exactly as the issuer writes it.
        #[arg(long, allow_hyphen_values = true)]
        subject: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// People: ID-JAG.
    IdentityProvider,
    /// Programs: tokens of platforms.
    Workload,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::IdentityProvider => "identity_provider",
            Self::Workload => "workload",
        }
    }
}

#[derive(Args)]
pub struct Create {
    /// Short name: lower-case letters, digits and hyphens.
    #[arg(long)]
    slug: String,
    /// What it speaks about.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The `iss` of its assertions, exactly.
    #[arg(long)]
    issuer: String,
    /// The `tenant` of its assertions about people, where the issuer has several. Stays what it is.
    #[arg(long)]
    tenant: Option<String>,
    /// Its word does not count until it is enabled.
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

/// On what terms it is trusted.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
#[derive(Args)]
struct Terms {
    /// Where its keys are; without it, and without `--jwks`, its metadata says so.
    #[arg(long)]
    jwks_uri: Option<String>,
    /// A file with its keys, a JWK Set.
    #[arg(long)]
    jwks: Option<PathBuf>,
    /// Its metadata says where its keys are, whatever was given before.
    #[arg(long, conflicts_with_all = ["jwks", "jwks_uri"])]
    no_jwks: bool,
    /// A signature algorithm. May be repeated; replaces all.
    #[arg(long = "algorithm")]
    algorithms: Vec<String>,
    /// An `aud` that means this server, instead of its own names. May be repeated; replaces all.
    #[arg(long = "audience", conflicts_with = "no_audiences")]
    audiences: Vec<String>,
    /// This server's own names mean this server, and no others.
    #[arg(long)]
    no_audiences: bool,
    /// Seconds that an assertion may be good for.
    #[arg(long)]
    max_lifetime: Option<u32>,
    /// Whether each assertion counts once.
    #[arg(long)]
    single_use: Option<bool>,
    /// Whether clients that cannot authenticate may show assertions about people.
    #[arg(long)]
    public_clients: Option<bool>,
    /// Whether a person who is not known yet is added.
    #[arg(long)]
    provision: Option<bool>,
    /// A client that may exchange ID tokens of the issuer: `CLIENT_ID_HERE=CLIENT_ID_THERE`. May be repeated; replaces all.
    #[arg(long = "id-token-client", conflicts_with = "no_id_token_clients")]
    id_token_clients: Vec<String>,
    /// No client may exchange ID tokens of the issuer any more.
    #[arg(long)]
    no_id_token_clients: bool,
    /// A rule as JSON: `{"name":"deploy","claims":{"sub":"…"},"resource":"SLUG","scope":"…"}`. May be repeated; replaces
    /// all.
    #[arg(long = "rule", value_parser = rule, conflicts_with = "no_rules")]
    rules: Vec<Value>,
    /// Its word is good for nothing.
    #[arg(long)]
    no_rules: bool,
}

impl Terms {
    fn put_into(self, body: &mut Value) -> anyhow::Result<()> {
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        let several =
            |values: Vec<Value>, none: bool| (none || !values.is_empty()).then_some(Value::from(values));
        let texts = |texts: Vec<String>, none| several(texts.into_iter().map(Value::from).collect(), none);
        put("jwks_uri", self.jwks_uri.map(Value::from));
        if self.no_jwks {
            put("jwks_uri", Some(Value::Null));
            put("jwks", Some(Value::Null));
        }
        if let Some(file) = self.jwks {
            let unreadable = || format!("the key set {} could not be read", file.display());
            let text = std::fs::read_to_string(&file).with_context(unreadable)?;
            put(
                "jwks",
                Some(serde_json::from_str(&text).with_context(unreadable)?),
            );
        }
        put("algorithms", texts(self.algorithms, false));
        put("audiences", texts(self.audiences, self.no_audiences));
        put("max_lifetime", self.max_lifetime.map(Value::from));
        put("single_use", self.single_use.map(Value::from));
        put("public_clients", self.public_clients.map(Value::from));
        put("provision", self.provision.map(Value::from));
        if self.no_id_token_clients || !self.id_token_clients.is_empty() {
            let names = names("--id-token-client", self.id_token_clients)?;
            put("id_token_clients", Some(names));
        }
        put("rules", several(self.rules, self.no_rules));
        Ok(())
    }
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut body = json!({
                "slug": create.slug,
                "kind": create.kind.as_str(),
                "issuer": create.issuer,
            });
            if let Some(tenant) = create.tenant {
                body["tenant"] = tenant.into();
            }
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
            api.done("The issuer is trusted no more, and the grants on its word have ended.");
            return Ok(());
        }
        link => return run_link(api, link).await,
    };
    api.print(&answer, &COLUMNS)
}

async fn run_link(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Link { slug, subject, user } => {
            // Before the person is looked for: what cannot be used is refused with nothing sent.
            named(&slug)?;
            let body = json!({"subject": subject, "user": user::id_of(api, user).await?});
            api.call(Method::POST, &subjects(&slug), Some(&body)).await?
        }
        Command::Unlink { slug, subject } => {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("subject", &subject)
                .finish();
            api.call(Method::DELETE, &format!("{}?{query}", subjects(&slug)), None)
                .await?;
            api.done("The link is forgotten, and the grants on it have ended.");
            return Ok(());
        }
        Command::Links {
            slug,
            subject,
            paging,
        } => {
            let links = subjects(&slug);
            let list = List {
                filters: &[("subject", subject.as_deref())],
                ..List::at(&links, &LINK_COLUMNS)
            };
            return list.print(api, &paging).await;
        }
        _ => return Ok(()),
    };
    api.print(&answer, &LINK_COLUMNS)
}

fn subjects(slug: &str) -> String {
    format!("{}/subjects", path(BASE, slug))
}
