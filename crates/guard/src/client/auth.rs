//! How the client says who it is (RFC 6749 §2.3, RFC 7523 §2.2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_jose::{JoseError, Signer, sign_by};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::UnixSeconds;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::timeout;

use super::error::ClientError;
use super::form::Form;
use super::random;

/// How long an assertion counts; it is made for one request.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// How long a signer that has to be asked may take.
const SIGNING_TIMEOUT: Duration = Duration::from_secs(10);

/// How the client authenticates to the authorization server. `Debug` shows no secret.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`: the secret in the `Authorization` header, percent-encoded as RFC 6749 §2.3.1 wants it.
    Basic {
        /// The `client_id`.
        id: String,
        /// The `client_secret`.
        secret: SecretString,
    },
    /// `client_secret_post`: the secret in the form.
    Post {
        /// The `client_id`.
        id: String,
        /// The `client_secret`.
        secret: SecretString,
    },
    /// `private_key_jwt`: an assertion, signed anew for every request, with the issuer as its only audience.
    PrivateKeyJwt {
        /// The `client_id`.
        id: String,
        /// The key, or a signer that asks whoever keeps it and answers within ten seconds; the authorization server knows
        /// its public half by its `kid`.
        key: Arc<dyn Signer>,
    },
    /// `none`: a public client names itself and proves nothing.
    Public {
        /// The `client_id`.
        id: String,
    },
}

impl ClientAuth {
    /// [`ClientAuth::Basic`]
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::Basic {
            id: id.into(),
            secret: SecretString::from(secret.into()),
        }
    }

    /// [`ClientAuth::Post`]
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::Post {
            id: id.into(),
            secret: SecretString::from(secret.into()),
        }
    }

    /// [`ClientAuth::PrivateKeyJwt`]
    pub fn private_key_jwt(id: impl Into<String>, key: Arc<dyn Signer>) -> Self {
        Self::PrivateKeyJwt { id: id.into(), key }
    }

    /// [`ClientAuth::Public`]
    pub fn public(id: impl Into<String>) -> Self {
        Self::Public { id: id.into() }
    }

    /// The `client_id`.
    pub fn client_id(&self) -> &str {
        match self {
            Self::Basic { id, .. }
            | Self::Post { id, .. }
            | Self::PrivateKeyJwt { id, .. }
            | Self::Public { id } => id,
        }
    }

    /// The header for a request that needs no form otherwise. A server that knows the secret takes it in either way; what
    /// has no secret has no such header.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, ClientError> {
        match self {
            Self::Basic { id, secret } | Self::Post { id, secret } => basic_header(id, secret).map(Some),
            Self::PrivateKeyJwt { .. } | Self::Public { .. } => Ok(None),
        }
    }

    /// Whether the client proves who it is.
    pub(crate) fn is_confidential(&self) -> bool {
        !matches!(self, Self::Public { .. })
    }

    pub(crate) fn is_complete(&self) -> bool {
        let has_secret = match self {
            Self::Basic { secret, .. } | Self::Post { secret, .. } => !secret.expose_secret().is_empty(),
            Self::PrivateKeyJwt { .. } | Self::Public { .. } => true,
        };
        has_secret && !self.client_id().is_empty()
    }

    /// Adds what the method needs to a request.
    pub(crate) async fn apply(
        &self,
        issuer: &Issuer,
        now: UnixSeconds,
        form: &mut Form,
        headers: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), ClientError> {
        match self {
            Self::Basic { id, secret } => headers.push((AUTHORIZATION, basic_header(id, secret)?)),
            Self::Post { id, secret } => {
                form.push("client_id", id);
                form.push("client_secret", secret.expose_secret());
            }
            Self::PrivateKeyJwt { id, key } => {
                form.push("client_id", id);
                form.push(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                );
                form.push(
                    "client_assertion",
                    &assertion(id, key.as_ref(), issuer, now).await?,
                );
            }
            Self::Public { id } => form.push("client_id", id),
        }
        Ok(())
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self {
            Self::Basic { .. } => "client_secret_basic",
            Self::Post { .. } => "client_secret_post",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::Public { .. } => "none",
        };
        f.debug_struct("ClientAuth")
            .field("method", &method)
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

fn basic_header(id: &str, secret: &SecretString) -> Result<HeaderValue, ClientError> {
    let encode = |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let credentials = format!("{}:{}", encode(id), encode(secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials)))
        .map_err(|_| ClientError::Request("the client's credentials do not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 7523 §3.
async fn assertion(
    id: &str,
    key: &dyn Signer,
    issuer: &Issuer,
    now: UnixSeconds,
) -> Result<String, ClientError> {
    #[derive(Serialize)]
    struct Assertion<'a> {
        iss: &'a str,
        sub: &'a str,
        aud: &'a str,
        jti: String,
        iat: UnixSeconds,
        exp: UnixSeconds,
    }

    let claims = Assertion {
        iss: id,
        sub: id,
        aud: issuer.as_str(),
        jti: random::id()?,
        iat: now,
        exp: now + ASSERTION_LIFETIME,
    };
    timeout(SIGNING_TIMEOUT, sign_by(key, "JWT", &claims))
        .await
        .unwrap_or(Err(JoseError::SigningFailed))
        .map_err(ClientError::Signing)
}
