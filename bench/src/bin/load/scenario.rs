//! What can be asked of the server, each as a single request whose answer is checked.

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::http::{Answer, Connection, encode};
use crate::world::{World, code_of, text};

/// Tokens that are kept for later requests, at most.
const KEPT: usize = 20_000;

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Scenario {
    /// `GET /livez`: what every request costs before anything is done.
    Livez,
    /// Authorization server metadata.
    Metadata,
    /// The key set.
    Jwks,
    /// Introspection of a live token by its resource server.
    Introspection,
    /// An authorization request of a signed-in person, on remembered consent: a grant and a code, durable.
    Authorize,
    /// A code for tokens.
    Exchange,
    /// A refresh token for its successor and an access token.
    Refresh,
}

impl Scenario {
    /// As in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Livez => "livez",
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
            Self::Introspection => "introspection",
            Self::Authorize => "authorize",
            Self::Exchange => "exchange",
            Self::Refresh => "refresh",
        }
    }

    /// How many times as many requests of this kind make a run that is long enough to be measured.
    pub fn weight(self) -> usize {
        match self {
            Self::Livez | Self::Metadata | Self::Jwks => 8,
            _ => 1,
        }
    }

    /// Whether every request of this kind signs a token and commits its record.
    pub fn issues_tokens(self) -> bool {
        matches!(self, Self::Exchange | Self::Refresh)
    }

    /// Whether every request of this kind waits for a commit.
    pub fn commits(self) -> bool {
        self.issues_tokens() || self == Self::Authorize
    }

    /// Which kind makes what this one uses up, and how much of it there is.
    pub fn supply(self, world: &World) -> Option<(Self, usize)> {
        match self {
            Self::Exchange => Some((Self::Authorize, world.codes.len())),
            Self::Refresh => Some((Self::Exchange, world.refresh_tokens.len())),
            Self::Introspection => Some((Self::Exchange, world.access_tokens.len())),
            _ => None,
        }
    }

    /// Sends one request and checks its answer.
    pub async fn request(self, world: &World, connection: &mut Connection) -> anyhow::Result<()> {
        match self {
            Self::Livez => expect(&connection.get("/livez", None).await?, "ok"),
            Self::Metadata => expect(
                &connection
                    .get("/.well-known/oauth-authorization-server", None)
                    .await?,
                "\"token_endpoint\"",
            ),
            Self::Jwks => expect(&connection.get("/.well-known/jwks.json", None).await?, "\"keys\""),
            Self::Introspection => introspect(world, connection).await,
            Self::Authorize => authorize(world, connection).await,
            Self::Exchange => {
                let code = world.codes.take().context("no codes are left")?;
                let answer = connection
                    .post("/oauth/token", world.redemption(&code), None)
                    .await?;
                keep_tokens(world, &answer)
            }
            Self::Refresh => {
                let token = world
                    .refresh_tokens
                    .take()
                    .context("no refresh tokens are left")?;
                let answer = connection
                    .post("/oauth/token", world.refresh(&token), None)
                    .await?;
                keep_tokens(world, &answer)
            }
        }
    }
}

async fn introspect(world: &World, connection: &mut Connection) -> anyhow::Result<()> {
    let token = world.access_tokens.next().context("there are no access tokens")?;
    let form = encode(&[("token", &token)]);
    let answer = connection
        .post(
            "/oauth/introspect",
            form,
            Some((AUTHORIZATION, &world.introspector)),
        )
        .await?;
    expect(&answer, "\"active\":true")
}

async fn authorize(world: &World, connection: &mut Connection) -> anyhow::Result<()> {
    let browser = world.browser().context("nobody is signed in")?;
    let answer = connection.get(&world.authorize, Some(&browser)).await?;
    let code = code_of(&answer).with_context(|| format!("no code: {}", answer.summary()))?;
    world.codes.put(code, KEPT);
    Ok(())
}

fn keep_tokens(world: &World, answer: &Answer) -> anyhow::Result<()> {
    ensure!(answer.status == StatusCode::OK, "no tokens: {}", answer.summary());
    let tokens: Value = serde_json::from_slice(&answer.body)?;
    world.refresh_tokens.put(text(&tokens, "refresh_token")?, KEPT);
    world.access_tokens.put(text(&tokens, "access_token")?, KEPT);
    Ok(())
}

fn expect(answer: &Answer, content: &str) -> anyhow::Result<()> {
    if answer.status != StatusCode::OK || !answer.text().contains(content) {
        bail!("not what was asked for: {}", answer.summary());
    }
    Ok(())
}
