//! The token of the request that is being served, for exchanging it.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::OAuthClient;
use super::request::ExchangeRequest;
use crate::claims::Claims;
use crate::guard::Guard;

/// The access token with which a request came. It is for this server alone, so it cannot be read and sent on: all that
/// it is good for is an exchange ([`ExchangeRequest::for_caller`]), and that with the guard's client of its issuer alone
/// ([`Guard::client_of`]).
///
/// It is among the extensions of a request that passed a guard which has credentials at the token's issuer
/// ([`client_auth`](crate::GuardBuilder::client_auth), [`issuer_client_auth`](crate::GuardBuilder::issuer_client_auth)), and
/// nowhere otherwise.
#[derive(Clone)]
pub struct SubjectToken {
    token: SecretString,
    issuer: String,
}

impl SubjectToken {
    /// The token of a request that the guard let through, if the guard can exchange it.
    pub(crate) fn of(guard: &Guard, claims: &Claims, headers: &HeaderMap) -> Option<Self> {
        let client = guard.exchanging(&claims.issuer)?;
        let credentials = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, token) = credentials.split_once(' ')?;
        Some(Self {
            token: SecretString::from(token),
            issuer: client.issuer().to_owned(),
        })
    }

    /// The issuer at which it can be exchanged, for [`Guard::client_of`].
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Guard {
    /// The client that may exchange a token with this `iss`. The one issuer of a guard is asked about whatever its verifier
    /// accepts; of several, none is shown the token of another.
    fn exchanging(&self, issuer: &str) -> Option<&OAuthClient> {
        let only = self.0.more_clients.is_empty().then_some(&self.0.client);
        let client = self.client_of(issuer).or(only)?;
        client.can_authenticate().then_some(client)
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectToken(redacted)")
    }
}

impl ExchangeRequest {
    /// Exchanges the token with which the request came, at its issuer.
    pub fn for_caller(token: &SubjectToken) -> Self {
        Self::new(token.token.expose_secret()).only_at(token.issuer())
    }
}
