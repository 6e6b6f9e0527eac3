//! Client authentication (RFC 6749 §2.3): `none`, `client_secret_basic`, `client_secret_post`.
//!
//! One method a request. Whatever is wrong with the credentials, the answer is the same: a stranger does not learn
//! whether a client exists.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use doorward_jose::{constant_time_eq, sha256};
use doorward_oauth::client::{GrantType, TokenEndpointAuthMethod};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::time::UnixSeconds;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Client, ClientError};
use crate::context::Context;
use crate::http::error::TokenError;

/// A client that proved to be itself, as far as its registration asks for: only [`authenticate`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticatedClient {
    client: Client,
}

impl AuthenticatedClient {
    /// `client_id`.
    pub(crate) fn client_id(&self) -> &str {
        &self.client.client_id
    }

    /// Whether it is registered for this grant type.
    pub(crate) fn may_use(&self, grant_type: GrantType) -> bool {
        self.client.metadata.may_use(grant_type)
    }

    /// Whether it proved a secret.
    pub(crate) fn is_confidential(&self) -> bool {
        !self.client.metadata.is_public()
    }

    /// The slug of the resource that this client is.
    pub(crate) fn resource_server(&self) -> Option<&str> {
        self.client.resource_server.as_deref()
    }
}

/// Authenticates the client of a request to a client endpoint.
///
/// # Errors
/// `invalid_request` when the request has credentials twice, `invalid_client` for everything else.
pub(crate) async fn authenticate(
    ctx: &Context,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenError> {
    let presented = Presented::read(headers, parameters)?;
    let client = match ctx.clients.resolve_approved(&presented.client_id).await {
        Ok(client) => Some(client),
        Err(ClientError::Store(error)) => return Err(error.into()),
        Err(error) => {
            tracing::debug!(client_id = ?presented.client_id, %error, "client authentication failed");
            None
        }
    };
    let proven = presented.proves(client.as_ref(), ctx.now());
    client
        .filter(|_| proven)
        .map(|client| AuthenticatedClient { client })
        .ok_or_else(|| failed().into())
}

/// What a request presents.
struct Presented {
    client_id: String,
    client_secret: Option<String>,
}

impl Presented {
    fn read(headers: &HeaderMap, parameters: &Parameters) -> Result<Self, OAuthError> {
        let basic = basic(headers)?;
        let client_id = parameters.get("client_id")?;
        let client_secret = parameters.get("client_secret")?;
        if parameters.get("client_assertion")?.is_some() || parameters.get("client_assertion_type")?.is_some()
        {
            return Err(OAuthError::new(
                ErrorCode::InvalidClient,
                "Client assertions are not supported; see token_endpoint_auth_methods_supported in the server's metadata.",
            ));
        }
        match (basic, client_id) {
            (Some(_), _) if client_secret.is_some() => Err(invalid_request(
                "The client authenticates twice; send the secret in the Authorization header or in the form.",
            )),
            (Some(basic), Some(client_id)) if basic.client_id != client_id => Err(invalid_request(
                "The client_id of the form is not the one of the Authorization header; send the same or one.",
            )),
            (Some(basic), _) => Ok(basic),
            (None, Some(client_id)) => Ok(Self {
                client_id: client_id.to_owned(),
                client_secret: client_secret.map(str::to_owned),
            }),
            (None, None) => Err(OAuthError::new(
                ErrorCode::InvalidClient,
                "The request names no client; send client_id, and the client_secret if the client has one.",
            )),
        }
    }

    fn proves(&self, client: Option<&Client>, now: UnixSeconds) -> bool {
        // Made for unknown clients too, so that the time tells no more than the answer.
        let digest = self
            .client_secret
            .as_deref()
            .map(|secret| sha256(secret.as_bytes()));
        let Some(client) = client else { return false };
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
        .ok_or_else(failed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "The Authorization header of a client endpoint must be Basic; use it or the form.",
        ));
    }
    decode_basic(credentials.trim()).ok_or_else(failed).map(Some)
}

/// Some libraries leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// RFC 6749 §2.3.1: identifier and secret are form-encoded before they are joined.
fn decode_basic(credentials: &str) -> Option<Presented> {
    let decoded = String::from_utf8(BASE64.decode(credentials).ok()?).ok()?;
    let (client_id, client_secret) = decoded.split_once(':')?;
    let client_id = form_decode(client_id).filter(|client_id| !client_id.is_empty())?;
    let client_secret = form_decode(client_secret)?;
    // An empty secret is none: the way of some libraries to name a public client.
    Some(Presented {
        client_id,
        client_secret: Some(client_secret).filter(|secret| !secret.is_empty()),
    })
}

fn form_decode(text: &str) -> Option<String> {
    let parameters = Parameters::parse(format!("text={text}").as_bytes()).ok()?;
    let mut pairs = parameters.iter();
    match (pairs.next(), pairs.next()) {
        (Some((_, text)), None) => Some(text.to_owned()),
        _ => None,
    }
}

fn failed() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidClient,
        "Client authentication failed: check the client_id, and send the client_secret if and only if the client has one.",
    )
}

fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
