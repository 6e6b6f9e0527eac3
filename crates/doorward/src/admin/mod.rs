//! `doorward admin`: every command is one call of the admin API; nothing here touches the database.

mod admin_key;
mod api;
mod assertion_audience;
mod audit;
mod client;
mod failure;
mod grant;
mod initial_token;
mod input;
mod key;
mod list;
mod other_servers;
mod policy;
mod resource;
mod table;
mod token_exchange;
mod trusted_issuer;
mod user;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use self::failure::EXIT_CODES;
use crate::out;

pub use api::{Api, page_query, path};

#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct AdminArguments {
    /// Where the admin API listens.
    #[arg(
        long,
        env = "DOORWARD_ADMIN_URL",
        default_value = "http://127.0.0.1:9001",
        global = true
    )]
    url: String,
    /// The admin key. Prefer the environment: arguments are visible to other users of the machine.
    #[arg(
        long,
        env = "DOORWARD_ADMIN_KEY",
        hide_env_values = true,
        global = true,
        default_value = "",
        hide_default_value = true
    )]
    key: SecretString,
    /// Prints JSON instead of a table, also of what went wrong.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The MCP servers whose tokens the server issues.
    #[command(subcommand)]
    Resource(resource::Command),
    /// The clients.
    #[command(subcommand)]
    Client(client::Command),
    /// The people who can sign in.
    #[command(subcommand)]
    User(user::Command),
    /// Who lets which client use what.
    #[command(subcommand)]
    Grant(grant::Command),
    /// The tokens with which clients register where not everybody may.
    #[command(subcommand)]
    InitialToken(initial_token::Command),
    /// Tokens that are exchanged for others.
    #[command(subcommand)]
    TokenExchange(token_exchange::Command),
    /// The issuers whose word about people or programs counts here.
    #[command(subcommand)]
    TrustedIssuer(trusted_issuer::Command),
    /// The other authorization servers to which this one vouches for people.
    #[command(subcommand)]
    AssertionAudience(assertion_audience::Command),
    /// The keys with which operators come in.
    #[command(subcommand)]
    AdminKey(admin_key::Command),
    /// The keys that sign tokens.
    #[command(subcommand)]
    Key(key::Command),
    /// What was changed and refused, by whom.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs one command, and tells why it failed if it did.
pub async fn run(arguments: AdminArguments) -> anyhow::Result<ExitCode> {
    let json = arguments.json;
    let done = carry_out(arguments).await;
    let done = done.and_then(|code| out::written().map(|()| code));
    Ok(done.unwrap_or_else(|error| failure::tell(&error, json)))
}

async fn carry_out(arguments: AdminArguments) -> anyhow::Result<ExitCode> {
    let api = Api::new(&arguments.url, &arguments.key, arguments.json)?;
    match arguments.what {
        What::Resource(command) => resource::run(&api, command).await,
        What::Client(command) => client::run(&api, command).await,
        What::User(command) => user::run(&api, command).await,
        What::Grant(command) => grant::run(&api, command).await,
        What::InitialToken(command) => initial_token::run(&api, command).await,
        What::TokenExchange(command) => return token_exchange::run(&api, command).await,
        What::TrustedIssuer(command) => trusted_issuer::run(&api, command).await,
        What::AssertionAudience(command) => assertion_audience::run(&api, command).await,
        What::AdminKey(command) => admin_key::run(&api, command).await,
        What::Key(command) => key::run(&api, command).await,
        What::Audit(command) => audit::run(&api, command).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
