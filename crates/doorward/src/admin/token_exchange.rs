//! `doorward admin token-exchange`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::failure::NOT_ALLOWED;
use super::input;

#[derive(Subcommand)]
pub enum Command {
    /// Says whether an exchange would work, and which rule stops it; the exit code is 7 when one does. Nothing is issued. The
    /// subject token is read from standard input.
    Explain(Explain),
}

#[derive(Args)]
pub struct Explain {
    /// The client that would exchange.
    #[arg(long)]
    client_id: String,
    /// The resource of the new token, by its URI; without it and `--audience`, the one of the subject token.
    #[arg(long)]
    resource: Option<String>,
    /// The same, by its URI or its slug.
    #[arg(long)]
    audience: Option<String>,
    /// The scopes that would be asked for, separated by spaces.
    #[arg(long)]
    scope: Option<String>,
    /// What would be asked for, such as `urn:ietf:params:oauth:token-type:id-jag`; an access token when absent.
    #[arg(long)]
    requested_token_type: Option<String>,
    /// What the token of standard input is, when it is no access token.
    #[arg(long)]
    subject_token_type: Option<String>,
    /// The thumbprint of the key of a `DPoP` proof that the client would send, which may begin with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    dpop_jkt: Option<String>,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<ExitCode> {
    let Command::Explain(explain) = command;
    let mut body = json!({
        "client_id": explain.client_id,
        "subject_token": input::secret("Subject token: ", "the subject token")?,
    });
    let members = [
        ("resource", explain.resource),
        ("audience", explain.audience),
        ("scope", explain.scope),
        ("requested_token_type", explain.requested_token_type),
        ("subject_token_type", explain.subject_token_type),
        ("dpop_jkt", explain.dpop_jkt),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            body[name] = Value::from(value);
        }
    }
    let answer = api
        .call(Method::POST, "/admin/token-exchange/explain", Some(&body))
        .await?;
    let is_allowed = answer["allowed"].as_bool();
    let is_allowed = is_allowed.ok_or_else(|| api.without("allowed"))?;
    api.print(&answer, &[])?;
    Ok(if is_allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_ALLOWED)
    })
}
