//! Client authentication (RFC 6749 §2.3): `none`, `client_secret_basic`, `client_secret_post`, `private_key_jwt`.
//!
//! One method a request. Whatever is wrong with the credentials, the answer is the same: a stranger does not learn
//! whether a client exists. The log says what it was, and of whom the request claimed to be.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use doorward_fetch::FetchError;
use doorward_jose::constant_time_eq;
use doorward_oauth::assertion::{CLIENT_ASSERTION_TYPE, claimed_client_id};
use doorward_oauth::client::TokenEndpointAuthMethod;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{ClientSource, Digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::assertion::NotProven;
use super::keys::NoKey;
use super::spending::spend_assertion;
use super::{Client, ClientError, assertion, basic, secret};
use crate::context::Context;
use crate::http::NoRoom;
use crate::http::error::TokenError;
use crate::http::request::{Mistaken, RequestInfo};
pub(crate) use client::AuthenticatedClient;

mod client;

/// Authenticates the client of a request about tokens that were given out, and uses up its assertion.
///
/// # Errors
/// `invalid_request` when the request has credentials twice, `invalid_client` when they prove nothing;
/// `temporarily_unavailable` with 429 when strangers ask too often, and with 503 when the store, or what has to be looked up
/// of the client, cannot be had.
pub(crate) async fn authenticate(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let client = authenticate_counted(ctx, info, headers, parameters).await?;
    spend_assertion(ctx, info, &client).await?;
    Ok(AuthenticatedClient {
        unspent: None,
        ..client
    })
}

/// As [`authenticate`], and the caller uses up the assertion. Strangers are counted by address: whoever let themselves in,
/// sends a name that anybody can send, or proves nothing. Resource servers, which ask thousands of times a second, are an
/// operator's.
pub(crate) async fn authenticate_counted(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let client = match authenticate_unspent(ctx, info, headers, parameters).await {
        Ok(client) => client,
        Err(error) if error.is(ErrorCode::InvalidClient) => {
            let counted = ctx.limits.self_registered.take(info.address);
            counted.map_err(|limit| TokenError::from(limit).after(&error))?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let is_known = client.source() == ClientSource::Admin || client.resource_server().is_some();
    if !is_known || !client.is_confidential() {
        ctx.limits.self_registered.take(info.address)?;
    }
    info.note_actor(client.actor());
    Ok(client)
}

/// Authenticates the client of a request that has more to check before an assertion is used up. The caller spends
/// [`AuthenticatedClient::unspent`].
pub(crate) async fn authenticate_unspent(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let presented = read(info, headers, parameters)?;
    let found = ctx
        .clients
        .resolve_approved(&presented.client_id, Some(info.address))
        .await;
    presented.prove(ctx, info, found).await
}

/// Authenticates a client that need not be known yet: one with a metadata document, at an endpoint where something
/// begins. The caller spends [`AuthenticatedClient::unspent`].
pub(crate) async fn authenticate_stranger(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let presented = read(info, headers, parameters)?;
    let found = ctx.clients.resolve(&presented.client_id, info.address).await;
    presented.prove(ctx, info, found).await
}

/// As [`authenticate_unspent`], and a client with a metadata document need not have been approved by anybody.
pub(crate) async fn authenticate_newcomer(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let presented = read(info, headers, parameters)?;
    let found = ctx
        .clients
        .resolve_newcomer(&presented.client_id, info.address)
        .await;
    presented.prove(ctx, info, found).await
}

/// What the request presents. Who it claims to be is noted, whatever becomes of it.
fn read(info: &RequestInfo, headers: &HeaderMap, parameters: &Parameters) -> Result<Presented, OAuthError> {
    let presented = Presented::read(headers, parameters);
    let claimed = match &presented {
        Ok(presented) => Some(presented.client_id.as_str()),
        Err(_) => parameters.get("client_id").ok().flatten(),
    };
    if let Some(client_id) = claimed {
        info.note_claimed_client(client_id);
    }
    presented
}

/// A client that cannot be had, where that says nothing against who asks.
fn unavailable(error: &ClientError) -> Option<TokenError> {
    match error {
        ClientError::Store(error) => Some(error.clone().into()),
        ClientError::DocumentUnreachable(FetchError::NotAdmitted) => Some(too_many(error.sentence(), error)),
        ClientError::DocumentUnreachable(FetchError::Busy) => Some(busy().into()),
        _ => None,
    }
}

/// What a request presents.
struct Presented {
    client_id: String,
    credential: Credential,
}

enum Credential {
    None,
    Secret(String),
    Assertion(String),
}

impl Presented {
    fn read(headers: &HeaderMap, parameters: &Parameters) -> Result<Self, OAuthError> {
        let basic = basic(headers)?;
        let client_id = parameters.get("client_id")?;
        let client_secret = parameters.get("client_secret")?;
        let assertion = read_assertion(parameters)?;
        let methods = [basic.is_some(), client_secret.is_some(), assertion.is_some()];
        if methods.iter().filter(|there| **there).count() > 1 {
            return Err(invalid_request(
                "The client authenticates twice; use one of the Authorization header, client_secret and client_assertion.",
            ));
        }
        match (basic, client_id) {
            (Some(basic), Some(client_id)) if basic.client_id != client_id => Err(invalid_request(
                "The client_id of the form is not the one of the Authorization header; send the same or one.",
            )),
            (Some(basic), _) => Ok(basic),
            (None, client_id) => Self::of_form(client_id, client_secret, assertion),
        }
    }

    fn of_form(
        client_id: Option<&str>,
        client_secret: Option<&str>,
        assertion: Option<&str>,
    ) -> Result<Self, OAuthError> {
        // RFC 7523 §3: with an assertion, client_id may be left out.
        let claimed = assertion.and_then(claimed_client_id);
        let names_another = client_id.is_some_and(|client_id| claimed.as_deref() != Some(client_id));
        if assertion.is_some() && (claimed.is_none() || names_another) {
            return Err(failed().with_internal("the assertion is of another client"));
        }
        let Some(client_id) = client_id.map(str::to_owned).or(claimed) else {
            return Err(OAuthError::new(
                ErrorCode::InvalidClient,
                "The request names no client; send client_id, and the client_secret if the client has one.",
            ));
        };
        let credential = match (client_secret, assertion) {
            (Some(secret), _) => Credential::Secret(secret.to_owned()),
            (None, Some(assertion)) => Credential::Assertion(assertion.to_owned()),
            (None, None) => Credential::None,
        };
        Ok(Self {
            client_id,
            credential,
        })
    }

    /// The client, if this proves that it is the one. Who is not there fails as who proves nothing.
    async fn prove(
        self,
        ctx: &Context,
        info: &RequestInfo,
        found: Result<Arc<Client>, ClientError>,
    ) -> Result<AuthenticatedClient, TokenError> {
        if let Some(error) = found.as_ref().err().and_then(unavailable) {
            return Err(error);
        }
        let is_operators = |client: &Arc<Client>| client.source == ClientSource::Admin;
        let is_operators = found.as_ref().is_ok_and(is_operators);
        let proven = match self.credential {
            Credential::Assertion(assertion) => {
                prove_by_assertion(ctx, info.address, found, &assertion).await
            }
            Credential::Secret(text) => {
                // Made for unknown clients too, so that the time tells no more than the answer.
                let digest = secret::digest(&ctx.secrets, &text);
                prove_by_secret(ctx, found, Some(digest))
            }
            Credential::None => prove_by_secret(ctx, found, None),
        };
        match &proven {
            Ok(client) => info.note_client(client.client_id()),
            Err(_) if is_operators => info.note_mistaken(Mistaken::Client(self.client_id)),
            Err(_) => {}
        }
        proven
    }
}

fn prove_by_secret(
    ctx: &Context,
    found: Result<Arc<Client>, ClientError>,
    digest: Option<Digest>,
) -> Result<AuthenticatedClient, TokenError> {
    let client = found.map_err(|error| failed().with_internal(error))?;
    if !proves(&client, digest, ctx.now()) {
        return Err(failed().with_internal(why_not(&client, digest)).into());
    }
    Ok(AuthenticatedClient {
        client,
        digest,
        unspent: None,
    })
}

/// `client_assertion`, with the one type that there is.
fn read_assertion(parameters: &Parameters) -> Result<Option<&str>, OAuthError> {
    match (
        parameters.get("client_assertion")?,
        parameters.get("client_assertion_type")?,
    ) {
        (None, None) => Ok(None),
        (Some(assertion), Some(CLIENT_ASSERTION_TYPE)) => Ok(Some(assertion)),
        _ => Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "Send client_assertion together with client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
        )),
    }
}

async fn prove_by_assertion(
    ctx: &Context,
    address: IpAddr,
    found: Result<Arc<Client>, ClientError>,
    assertion: &str,
) -> Result<AuthenticatedClient, TokenError> {
    let client = found.map_err(|error| failed().with_internal(error))?;
    if client.metadata.token_endpoint_auth_method != TokenEndpointAuthMethod::PrivateKeyJwt {
        return Err(failed()
            .with_internal("an assertion, and the client is registered for another method")
            .into());
    }
    match assertion::verify(ctx, &client, assertion, address).await {
        Ok(spend) => Ok(AuthenticatedClient {
            client,
            digest: None,
            unspent: Some(spend),
        }),
        // Nothing is wrong with the client: it must not throw its registration away.
        Err(NotProven::NoKey(NoKey::Busy)) => Err(busy().into()),
        Err(error @ NotProven::NoKey(NoKey::TooMany)) => Err(too_many(
            "Too many keys of clients that this server has to look up first were needed from your network; wait a minute.".into(),
            error,
        )),
        Err(error) => Err(failed().with_internal(error).into()),
    }
}

fn too_many(sentence: Cow<'static, str>, internal: impl fmt::Display) -> TokenError {
    let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, sentence);
    TokenError::come_back_after(60, error.with_internal(internal))
}

fn busy() -> OAuthError {
    OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "What this server has to look up of the client cannot be had at the moment; try again in a moment.",
    )
    .with_internal(NoRoom::Fetch)
}

/// Whether the digest of a secret, or nothing, is what the registration asks for.
fn proves(client: &Client, digest: Option<Digest>, now: UnixSeconds) -> bool {
    match (client.metadata.token_endpoint_auth_method, digest) {
        (TokenEndpointAuthMethod::None, None) => true,
        // Either transport will do for a secret: libraries choose by their own taste.
        (
            TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost,
            Some(digest),
        ) => {
            let live = client
                .secrets
                .iter()
                .filter(|secret| secret.expires_at.is_none_or(|end| now < end));
            live.fold(false, |found, secret| {
                found | constant_time_eq(&secret.digest, &digest)
            })
        }
        _ => false,
    }
}

/// Why they do not, for the log alone.
fn why_not(client: &Client, digest: Option<Digest>) -> &'static str {
    let is_its_own = |digest: &Digest| {
        let mut secrets = client.secrets.iter();
        secrets.any(|secret| constant_time_eq(&secret.digest, digest))
    };
    match (client.metadata.token_endpoint_auth_method, digest) {
        (TokenEndpointAuthMethod::None, _) => "a secret, and the client has none",
        (TokenEndpointAuthMethod::PrivateKeyJwt, _) => "no assertion, and the client signs them",
        (_, None) => "no secret, and the client has one",
        (_, Some(digest)) if is_its_own(&digest) => "a secret that has expired",
        (_, Some(_)) => "a wrong secret",
    }
}

/// The credentials of the `Authorization` header, if there is one.
fn basic(headers: &HeaderMap) -> Result<Option<Presented>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid_request(
            "There are several Authorization headers; send one.",
        ));
    }
    let (scheme, credentials) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "The Authorization header of a client endpoint must be Basic; use it or the form.",
        ));
    }
    presented(credentials.trim()).ok_or_else(unreadable).map(Some)
}

fn unreadable() -> OAuthError {
    failed().with_internal("an Authorization header that cannot be read")
}

fn presented(credentials: &str) -> Option<Presented> {
    let (client_id, client_secret) = basic::decode(credentials)?;
    // An empty secret is none: the way of some libraries to name a public client.
    Some(Presented {
        client_id,
        credential: if client_secret.is_empty() {
            Credential::None
        } else {
            Credential::Secret(client_secret)
        },
    })
}

pub(super) fn failed() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidClient,
        "Client authentication failed: check the client_id, and authenticate as the client is registered: with its secret, a signed client_assertion, or nothing.",
    )
}

fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
