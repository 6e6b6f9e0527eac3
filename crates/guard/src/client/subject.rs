//! The token of the request that is being served, for exchanging it.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::request::ExchangeRequest;
use crate::guard::Guard;

/// The access token with which a request came. It is for this server alone, so it cannot be read and sent on: all that
/// it is good for is an exchange ([`ExchangeRequest::for_caller`]).
///
/// It is among the extensions of a request that passed a guard with
/// [`client_auth`](crate::GuardBuilder::client_auth), and nowhere otherwise.
#[derive(Clone)]
pub struct SubjectToken(SecretString);

impl SubjectToken {
    /// The token of a request that the guard let through, if the guard can exchange it.
    pub(crate) fn of(guard: &Guard, headers: &HeaderMap) -> Option<Self> {
        if !guard.0.client.can_authenticate() {
            return None;
        }
        let credentials = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, token) = credentials.split_once(' ')?;
        Some(Self(SecretString::from(token)))
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectToken(redacted)")
    }
}

impl ExchangeRequest {
    /// Exchanges the token with which the request came.
    pub fn for_caller(token: &SubjectToken) -> Self {
        Self::new(token.0.expose_secret())
    }
}
