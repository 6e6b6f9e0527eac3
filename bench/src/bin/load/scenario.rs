//! What can be asked of a server, each with its answer checked.

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::http::{Answer, Connection};
use crate::world::{Call, World, code_of, redemption, refresh, text};

/// Tokens that are asked about again and again.
const SEEN_BEFORE: usize = 256;
/// More tokens than a node of ours remembers to have signed.
const PUSHED_OUT_BY: usize = 50_000;

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Scenario {
    /// A constant answer of a server that does nothing else.
    Constant,
    /// A signed token of a server that does nothing else.
    Sign,
    /// `GET /livez`: what every request costs before anything is done.
    Livez,
    /// Authorization server metadata.
    Metadata,
    /// The key set.
    Jwks,
    /// A token for a program itself; the record of it is durable before the answer.
    ClientCredentials,
    /// An authorization request of a signed-in person, on remembered consent: a grant and a code, durable.
    Authorize,
    /// A code for tokens.
    Code,
    /// The whole flow: an authorization request, then its code for tokens.
    Flow,
    /// A refresh token for its successor and an access token.
    Refresh,
    /// An access token for a narrower one (RFC 8693).
    TokenExchange,
    /// Introspection by its resource server of a live token that nobody has asked about before, and that was issued
    /// lately.
    Introspection,
    /// The same of a token that the node does not remember to have signed, as it does not any that another node signed.
    IntrospectionElsewhere,
    /// The same of one of a few tokens, again and again.
    IntrospectionAgain,
}

impl Scenario {
    /// As in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant answer",
            Self::Sign => "sign a token",
            Self::Livez => "livez",
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
            Self::ClientCredentials => "client_credentials",
            Self::Authorize => "authorize",
            Self::Code => "code for tokens",
            Self::Flow => "whole flow",
            Self::Refresh => "refresh",
            Self::TokenExchange => "token exchange",
            Self::Introspection => "introspection, new token",
            Self::IntrospectionElsewhere => "introspection, as of another node's token",
            Self::IntrospectionAgain => "introspection, seen before",
        }
    }

    /// How many times as many requests of this kind make a run that is long enough to be measured.
    pub fn weight(self) -> usize {
        match self {
            Self::Constant | Self::Livez | Self::Metadata | Self::Jwks | Self::IntrospectionAgain => 8,
            Self::Sign => 4,
            _ => 1,
        }
    }

    /// What it stands beside: the floor of the same round.
    pub fn floor(self) -> Option<Self> {
        match self {
            Self::Constant | Self::Sign => None,
            Self::Livez | Self::Metadata | Self::Jwks => Some(Self::Constant),
            _ => Some(Self::Sign),
        }
    }

    /// Whether every request of this kind waits for a commit.
    pub fn commits(self) -> bool {
        matches!(
            self,
            Self::ClientCredentials
                | Self::Authorize
                | Self::Code
                | Self::Flow
                | Self::Refresh
                | Self::TokenExchange
        )
    }

    /// Whether the server has it.
    pub fn is_offered(self, world: &World) -> bool {
        let offers = &world.offers;
        let people = offers.authorize.is_some() && offers.token.is_some();
        match self {
            Self::Constant => offers.constant.is_some(),
            Self::Sign => offers.sign.is_some(),
            Self::Livez => offers.health.is_some(),
            Self::Metadata => offers.metadata.is_some(),
            Self::Jwks => offers.jwks.is_some(),
            Self::ClientCredentials => offers.client_credentials.is_some(),
            Self::Authorize | Self::Code | Self::Flow | Self::Refresh => people,
            Self::TokenExchange => people && offers.token_exchange.is_some(),
            Self::Introspection | Self::IntrospectionAgain => people && offers.introspection.is_some(),
            Self::IntrospectionElsewhere => {
                people && offers.introspection.is_some() && offers.remembers_tokens
            }
        }
    }

    /// Which kind makes what this one uses up, and how much of it there is.
    pub fn supply(self, world: &World) -> Option<(Self, usize)> {
        match self {
            Self::Code => Some((Self::Authorize, world.codes.len())),
            Self::Refresh => Some((Self::Flow, world.refresh_tokens.len())),
            Self::Introspection
            | Self::IntrospectionElsewhere
            | Self::IntrospectionAgain
            | Self::TokenExchange => Some((Self::Flow, world.access_tokens.len())),
            _ => None,
        }
    }

    /// What is sent before any is measured, and how many: a token was seen before when it was asked about once.
    pub fn rehearsal(self) -> Option<(Self, usize)> {
        match self {
            Self::IntrospectionElsewhere => Some((Self::ClientCredentials, PUSHED_OUT_BY)),
            Self::IntrospectionAgain => Some((Self::IntrospectionAgain, SEEN_BEFORE)),
            _ => None,
        }
    }

    /// Whether its supply is used up, and not only used.
    pub fn uses_up(self) -> bool {
        matches!(
            self,
            Self::Code | Self::Introspection | Self::IntrospectionElsewhere
        )
    }

    /// Sends one request (of the whole flow two) and checks the answer.
    pub async fn request(self, world: &World, connection: &mut Connection) -> anyhow::Result<()> {
        let offers = &world.offers;
        match self {
            Self::Constant => get(connection, offers.constant, "  ").await,
            Self::Livez => get(connection, offers.health, "ok").await,
            Self::Metadata => get(connection, offers.metadata, "\"token_endpoint\"").await,
            Self::Jwks => get(connection, offers.jwks, "\"keys\"").await,
            Self::Sign => post(connection, offers.sign.as_ref(), &[], "\"access_token\"").await,
            Self::ClientCredentials => {
                let call = offers.client_credentials.as_ref();
                post(connection, call, &[], "\"access_token\"").await
            }
            Self::Introspection => introspect(world, connection, world.access_tokens.take_newest()).await,
            Self::IntrospectionElsewhere => introspect(world, connection, world.access_tokens.take()).await,
            Self::IntrospectionAgain => {
                let token = world.access_tokens.one_of_the_first(SEEN_BEFORE);
                introspect(world, connection, token).await
            }
            Self::TokenExchange => {
                // In turn, and left where they are: `take_newest` rests on their order.
                let token = world
                    .access_tokens
                    .one_of_the_first(usize::MAX)
                    .context("there are no access tokens")?;
                let call = offers.token_exchange.as_ref();
                let subject = [("subject_token", token.as_str())];
                post(connection, call, &subject, "\"access_token\"").await
            }
            Self::Authorize => {
                world.codes.put(authorize(world, connection).await?);
                Ok(())
            }
            Self::Code => {
                let code = world.codes.take().context("no codes are left")?;
                redeem(world, connection, &code).await
            }
            Self::Flow => {
                let code = authorize(world, connection).await?;
                redeem(world, connection, &code).await
            }
            Self::Refresh => {
                let call = offers.token.as_ref().context("not offered")?;
                let token = world
                    .refresh_tokens
                    .take()
                    .context("no refresh tokens are left")?;
                let form = refresh(call, &token);
                keep_tokens(world, &connection.post(call.path, form, None).await?)
            }
        }
    }
}

async fn introspect(world: &World, connection: &mut Connection, token: Option<String>) -> anyhow::Result<()> {
    let token = token.context("there are no access tokens")?;
    let call = world.offers.introspection.as_ref();
    post(connection, call, &[("token", &token)], "\"active\":true").await
}

async fn authorize(world: &World, connection: &mut Connection) -> anyhow::Result<String> {
    let path = world.offers.authorize.as_ref().context("not offered")?;
    let browser = world.browsers.next().context("nobody is signed in")?;
    let answer = connection.get(path, Some(&browser)).await?;
    code_of(&answer).with_context(|| format!("no code: {}", answer.summary()))
}

async fn redeem(world: &World, connection: &mut Connection, code: &str) -> anyhow::Result<()> {
    let call = world.offers.token.as_ref().context("not offered")?;
    let form = redemption(call, code);
    keep_tokens(world, &connection.post(call.path, form, None).await?)
}

fn keep_tokens(world: &World, answer: &Answer) -> anyhow::Result<()> {
    ensure!(answer.status == StatusCode::OK, "no tokens: {}", answer.summary());
    let tokens: Value = serde_json::from_slice(&answer.body)?;
    world.refresh_tokens.put(text(&tokens, "refresh_token")?);
    world.access_tokens.put(text(&tokens, "access_token")?);
    Ok(())
}

async fn get(connection: &mut Connection, path: Option<&str>, content: &str) -> anyhow::Result<()> {
    expect(
        &connection.get(path.context("not offered")?, None).await?,
        content,
    )
}

async fn post(
    connection: &mut Connection,
    call: Option<&Call>,
    fields: &[(&str, &str)],
    content: &str,
) -> anyhow::Result<()> {
    let call = call.context("not offered")?;
    let form = if fields.is_empty() {
        call.form.clone()
    } else {
        call.with(fields)
    };
    let header = call
        .authorization
        .as_ref()
        .map(|authorization| (AUTHORIZATION, authorization));
    expect(&connection.post(call.path, form, header).await?, content)
}

fn expect(answer: &Answer, content: &str) -> anyhow::Result<()> {
    if answer.status != StatusCode::OK || !answer.text().contains(content) {
        bail!("not what was asked for: {}", answer.summary());
    }
    Ok(())
}
