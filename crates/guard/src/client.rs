//! The guard as an OAuth client: tokens of its own, tokens exchanged for the caller's, introspection and revocation.
//!
//! One [`OAuthClient`] talks to one authorization server. It finds the endpoints by itself, authenticates, keeps its own
//! tokens while they last, and leaves a server alone that fails.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use doorward_guard::client::{ClientAuth, ClientCredentialsRequest, OAuthClient};
//!
//! let client = OAuthClient::builder("https://as.example")
//!     .auth(ClientAuth::basic("my-server", "its secret"))
//!     .build()?;
//! let request = ClientCredentialsRequest::new().scopes(["mail.send"]).resource("https://mail.example");
//! let token = client.client_credentials(&request).await?;
//! let headers = client.headers_for(&token, "POST", "https://mail.example/messages")?;
//! # Ok(()) }
//! ```

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

mod answer;
mod auth;
mod breaker;
mod builder;
mod cache;
mod call;
mod consent;
mod dpop;
mod endpoints;
mod error;
mod events;
mod form;
mod guard;
mod lru;
mod pauses;
mod random;
mod request;
mod request_state;
#[cfg(feature = "rmcp")]
mod rmcp;
mod subject;
mod token;

pub use auth::ClientAuth;
pub use builder::{ClientBuildError, OAuthClientBuilder};
pub use consent::{ConsentRequired, McpAnswer, McpCall, URL_ELICITATION_REQUIRED};
pub use error::{ClientError, Refusal};
pub use request::{ClientCredentialsRequest, ExchangeRequest, IntrospectionResponse};
pub use request_state::{BoundRequest, Principal, RequestStateError, RequestStateKey};
pub use secrecy::{ExposeSecret, SecretString};
pub use subject::SubjectToken;
pub use token::{ACCESS_TOKEN_TYPE, TokenResponse, TokenType};

use answer::{check_status, success};
use call::Inner;
use dpop::DPOP;
use endpoints::Endpoint;
use form::Form;

pub(crate) use builder::ClientSettings;
#[cfg(feature = "rmcp")]
pub use rmcp::{ask_for_consent, open_request_state, subject_token};

/// A client of one authorization server. Cheap to clone; clones share tokens, nonces and breakers.
#[derive(Clone)]
pub struct OAuthClient(Arc<Inner>);

impl OAuthClient {
    /// Begins a client of the authorization server `issuer`.
    pub fn builder(issuer: impl Into<String>) -> OAuthClientBuilder {
        OAuthClientBuilder::new(issuer.into())
    }

    /// The issuer that the client talks to.
    pub fn issuer(&self) -> &str {
        self.0.issuer.as_str()
    }

    /// Whether the client says who it is.
    pub fn can_authenticate(&self) -> bool {
        self.0.auth.is_some()
    }

    /// What an MCP client is answered when consent is missing.
    ///
    /// It becomes a plain error where there is no page to open, where the client cannot open one, or where the revision does
    /// not allow it for this method.
    ///
    /// # Errors
    /// [`ClientError::Request`] or [`ClientError::Signing`] when the request state cannot be sealed.
    pub fn consent_answer(
        &self,
        consent: &ConsentRequired,
        call: &McpCall<'_>,
    ) -> Result<McpAnswer, ClientError> {
        consent.to_mcp(call, &self.0.states, self.0.clock.now())
    }

    /// Checks a `requestState` that came back, and returns what it carries (the service that the consent was about).
    ///
    /// # Errors
    /// [`RequestStateError`]
    pub fn open_request_state(
        &self,
        state: &str,
        request: &BoundRequest<'_>,
    ) -> Result<Vec<u8>, RequestStateError> {
        self.0.states.open(state, request, self.0.clock.now())
    }

    /// A token of the client's own (RFC 6749 §4.4): the one that is kept, or a new one. Callers who ask for the same at
    /// the same time share one request; it goes on as long as one of them waits. Failures are not kept.
    ///
    /// # Errors
    /// Every [`ClientError`] but [`ClientError::ConsentRequired`], which servers do not send here.
    pub async fn client_credentials(
        &self,
        request: &ClientCredentialsRequest,
    ) -> Result<TokenResponse, ClientError> {
        let key = request.key();
        let inner = &self.0;
        let known = |now| inner.cache.find(&key, now).map(Ok);
        if let Some(token) = known(inner.clock.now()) {
            return token;
        }
        let start = || {
            let (inner, form, key) = (inner.clone(), request.form(), key.clone());
            async move { inner.own_token(&form, &key).await }.boxed()
        };
        inner.own_tokens.join(&key, &*inner.clock, known, start).await
    }

    /// Exchanges a token for one that another service takes (RFC 8693). What comes out belongs to one caller and is not
    /// kept.
    ///
    /// # Errors
    /// Every [`ClientError`]; [`ClientError::ConsentRequired`] when a person has to agree first, and
    /// [`ClientError::Request`] for a caller's token of another issuer than this client's, which is not sent.
    pub async fn exchange(&self, request: &ExchangeRequest) -> Result<TokenResponse, ClientError> {
        let expected = self.0.expected(Some(request.issued_token_type()));
        let form = request.form(self.issuer())?;
        let call = self.0.call(Endpoint::Token, &form, |answer| {
            TokenResponse::read(&success(answer, self.0.issuer.is_loopback())?, &expected)
        });
        call.await
    }

    /// Asks whether a token counts (RFC 7662).
    ///
    /// # Errors
    /// Every [`ClientError`]. None of them says anything about the token.
    pub async fn introspect(&self, token: &str) -> Result<IntrospectionResponse, ClientError> {
        let form = token_form(token)?;
        let call = self.0.call(Endpoint::Introspection, &form, |answer| {
            IntrospectionResponse::read(success(answer, self.0.issuer.is_loopback())?)
        });
        call.await
    }

    /// Revokes a token (RFC 7009) and forgets it, whatever the server says. A `200` is success, also for a token that the
    /// server does not know.
    ///
    /// # Errors
    /// Every [`ClientError`]: the token may still count at the server.
    pub async fn revoke(&self, token: &str) -> Result<(), ClientError> {
        let form = token_form(token)?;
        self.0.cache.forget(token);
        let call = self.0.call(Endpoint::Revocation, &form, |answer| {
            check_status(answer, self.0.issuer.is_loopback())
        });
        call.await
    }

    /// The headers for a request to another service with `token`: `Authorization` and, for a bound token, `DPoP`. Made
    /// for one request with this method and URL.
    ///
    /// # Errors
    /// [`ClientError::Request`] for a token that is no access token, a bound token without a key, or a URL that is not
    /// absolute.
    pub fn headers_for(
        &self,
        token: &TokenResponse,
        method: &str,
        url: &str,
    ) -> Result<HeaderMap, ClientError> {
        let text = token.access_token.expose_secret();
        let mut headers = HeaderMap::new();
        let scheme = match token.token_type {
            TokenType::Bearer => "Bearer",
            TokenType::Dpop => {
                headers.insert(DPOP, self.dpop_proof(method, url, Some(text))?);
                "DPoP"
            }
            TokenType::NotApplicable => {
                return Err(ClientError::Request("this token is no access token (`N_A`)"));
            }
        };
        let mut value = HeaderValue::try_from(format!("{scheme} {text}"))
            .map_err(|_| ClientError::Request("the access token does not fit into a header"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(headers)
    }

    /// A `DPoP` proof for one request; `access_token` is the token beside it, if there is one.
    ///
    /// # Errors
    /// [`ClientError::Request`] without a key or for a URL that is not absolute.
    pub fn dpop_proof(
        &self,
        method: &str,
        url: &str,
        access_token: Option<&str>,
    ) -> Result<HeaderValue, ClientError> {
        let proofs = self.0.proofs.as_ref().ok_or(ClientError::Request(
            "DPoP proofs need a key; give the client one with `dpop`",
        ))?;
        proofs.prove(method, url, access_token, self.0.clock.now())
    }

    /// Remembers the `DPoP-Nonce` of a service's answer for the next proofs to it. Returns whether there was a new one:
    /// after a `401` with `use_dpop_nonce` that is the moment to send the request once more.
    pub fn remember_dpop_nonce(&self, url: &str, headers: &HeaderMap) -> bool {
        let proofs = self.0.proofs.as_ref();
        proofs.is_some_and(|proofs| proofs.remember(url, headers))
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient")
            .field("issuer", &self.0.issuer)
            .field("auth", &self.0.auth)
            .finish_non_exhaustive()
    }
}

fn token_form(token: &str) -> Result<Form, ClientError> {
    if token.is_empty() {
        return Err(ClientError::Request(
            "an empty token can neither be introspected nor revoked",
        ));
    }
    let mut form = Form::default();
    form.push("token", token);
    form.push("token_type_hint", "access_token");
    Ok(form)
}
