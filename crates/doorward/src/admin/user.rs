//! `doorward admin user`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::api::{Api, named, page_query, path};
use super::failure::{Failure, Kind};
use super::input;
use super::list::{List, Paging};

const COLUMNS: [&str; 4] = ["id", "email", "name", "disabled"];

#[derive(Subcommand)]
pub enum Command {
    /// Adds a person. The password is read from standard input.
    Create(Create),
    /// Lists the people.
    List {
        /// Only the person who signs in with this e-mail address.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows a person.
    Get {
        /// The person's id, or e-mail address.
        id: String,
    },
    /// Changes a person.
    Update(Update),
    /// Disables a person: sessions and grants end.
    Disable {
        /// The person's id, or e-mail address.
        id: String,
    },
    /// Lets a disabled person sign in again.
    Enable {
        /// The person's id, or e-mail address.
        id: String,
    },
    /// Removes a person with sessions, consents and grants.
    Delete {
        /// The person's id, or e-mail address.
        id: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// The e-mail address to sign in with.
    #[arg(long)]
    email: String,
    /// Shown on pages; the e-mail address when absent.
    #[arg(long)]
    name: Option<String>,
    /// The person cannot sign in until enabled.
    #[arg(long)]
    disabled: bool,
}

#[derive(Args)]
pub struct Update {
    /// The person's id, or e-mail address.
    id: String,
    /// The e-mail address to sign in with.
    #[arg(long)]
    email: Option<String>,
    /// Shown on pages.
    #[arg(long)]
    name: Option<String>,
    /// Reads a new password from standard input; the person's sessions end.
    #[arg(long)]
    password: bool,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut body = json!({"email": create.email, "password": read_password()?});
            if let Some(name) = create.name {
                body["name"] = name.into();
            }
            input::disabled(create.disabled, &mut body);
            api.call(Method::POST, "/admin/users", Some(&body)).await?
        }
        Command::List { email, paging } => {
            let list = List {
                filters: &[("email", email.as_deref())],
                ..List::at("/admin/users", &COLUMNS)
            };
            return list.print(api, &paging).await;
        }
        Command::Get { id } => api.call(Method::GET, &place(api, id).await?, None).await?,
        Command::Update(update) => {
            let mut body = json!({});
            if let Some(email) = update.email {
                body["email"] = email.into();
            }
            if let Some(name) = update.name {
                body["name"] = name.into();
            }
            if update.password {
                body["password"] = read_password()?.into();
            }
            let body = input::change::<Update>(body)?;
            let place = place(api, update.id).await?;
            api.call(Method::PATCH, &place, Some(&body)).await?
        }
        Command::Disable { id } => {
            let place = place(api, id).await?;
            api.call(Method::POST, &format!("{place}/disable"), None).await?
        }
        Command::Enable { id } => {
            let place = place(api, id).await?;
            api.call(Method::POST, &format!("{place}/enable"), None).await?
        }
        Command::Delete { id } => {
            api.call(Method::DELETE, &place(api, id).await?, None).await?;
            api.done("The person is gone.");
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}

async fn place(api: &Api, person: String) -> anyhow::Result<String> {
    Ok(path("/admin/users", &id_of(api, person).await?))
}

/// The same, where somebody is named.
pub async fn id_if_any(api: &Api, person: Option<String>) -> anyhow::Result<Option<String>> {
    match person {
        Some(person) => id_of(api, person).await.map(Some),
        None => Ok(None),
    }
}

/// The id of a person who is named by an e-mail address; whatever else is left as it is, since subjects may have an `@`.
pub async fn id_if_known(api: &Api, subject: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(subject) = subject else { return Ok(None) };
    Ok(Some(found(api, &subject).await?.unwrap_or(subject)))
}

async fn found(api: &Api, email: &str) -> anyhow::Result<Option<String>> {
    if !email.contains('@') {
        return Ok(None);
    }
    let query = page_query(None, 1, &[("email", Some(email))]);
    let list = api
        .call(Method::GET, &format!("/admin/users{query}"), None)
        .await?;
    Ok(list["items"][0]["id"].as_str().map(str::to_owned))
}

/// The id of a person who may be named by an e-mail address: no id has an `@`.
pub async fn id_of(api: &Api, person: String) -> anyhow::Result<String> {
    named(&person)?;
    if Uuid::try_parse(&person).is_ok() {
        return Ok(person);
    }
    if !person.contains('@') {
        anyhow::bail!(Failure::usage(
            "name a person by id or e-mail address; nothing was sent"
        ));
    }
    let unknown = || {
        let sentence = format!("there is no person with the e-mail address {person}");
        Failure::new(Kind::NotFound, sentence)
    };
    Ok(found(api, &person).await?.ok_or_else(unknown)?)
}

fn read_password() -> anyhow::Result<String> {
    input::secret("Password (12 characters or more): ", "the password")
}
