//! `doorward admin user`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::api::{Api, page_query, path};
use super::input;

const COLUMNS: [&str; 4] = ["id", "email", "name", "disabled"];

#[derive(Subcommand)]
pub enum Command {
    /// Adds a person. The password is read from standard input.
    Create(Create),
    /// Lists the people.
    List {
        /// `next` of the page before.
        #[arg(long)]
        cursor: Option<String>,
        /// Rows on a page.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows a person.
    Get {
        /// The person's id.
        id: String,
    },
    /// Changes a person.
    Update(Update),
    /// Disables a person: sessions and grants end.
    Disable {
        /// The person's id.
        id: String,
    },
    /// Lets a disabled person sign in again.
    Enable {
        /// The person's id.
        id: String,
    },
    /// Removes a person with sessions, consents and grants.
    Delete {
        /// The person's id.
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
}

#[derive(Args)]
pub struct Update {
    /// The person's id.
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
            api.call(Method::POST, "/admin/users", Some(&body)).await?
        }
        Command::List { cursor, limit } => {
            let query = page_query(cursor.as_deref(), limit, &[]);
            api.call(Method::GET, &format!("/admin/users{query}"), None)
                .await?
        }
        Command::Get { id } => api.call(Method::GET, &path("/admin/users", &id), None).await?,
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
            api.call(Method::PATCH, &path("/admin/users", &update.id), Some(&body))
                .await?
        }
        Command::Disable { id } => {
            api.call(
                Method::POST,
                &format!("{}/disable", path("/admin/users", &id)),
                None,
            )
            .await?
        }
        Command::Enable { id } => {
            api.call(
                Method::POST,
                &format!("{}/enable", path("/admin/users", &id)),
                None,
            )
            .await?
        }
        Command::Delete { id } => {
            api.call(Method::DELETE, &path("/admin/users", &id), None).await?;
            api.done("The person is gone.");
            return Ok(());
        }
    };
    api.print(&answer, &COLUMNS)
}

fn read_password() -> anyhow::Result<String> {
    input::secret("Password (12 characters or more): ", "the password")
}
