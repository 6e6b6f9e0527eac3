//! The guard's own client.

use std::sync::Arc;

use doorward_jose::SigningKey;
use doorward_oauth::issuer::Issuer;

use super::{ClientAuth, ClientSettings, OAuthClient, RequestStateKey};
use crate::builder::{BuildError, GuardBuilder};
use crate::fetch::Fetch;
use crate::guard::Guard;

impl GuardBuilder {
    /// How the guard authenticates to the authorization server when it exchanges, introspects or revokes tokens or gets
    /// its own. Default: not at all.
    #[must_use]
    pub fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client.auth = Some(auth);
        self
    }

    /// How the guard authenticates to another of its [issuers](Self::issuer), when it follows that one's revocations, asks
    /// it about tokens or exchanges them. Credentials of one issuer are never shown to another. Default: not at all.
    #[must_use]
    pub fn issuer_client_auth(mut self, issuer: impl Into<String>, auth: ClientAuth) -> Self {
        self.trust.issuer_auth.push((issuer.into(), auth));
        self
    }

    /// Clients of all issuers but the first one.
    pub(crate) fn more_clients(
        &self,
        issuers: &[Issuer],
        fetch: &Arc<dyn Fetch>,
    ) -> Result<Vec<OAuthClient>, BuildError> {
        let others = issuers.get(1..).unwrap_or_default();
        let is_other = |named: &str| others.iter().any(|issuer| issuer.as_str() == named);
        let known = &self.trust.issuer_auth;
        if let Some((stranger, _)) = known.iter().find(|(named, _)| !is_other(named)) {
            return Err(BuildError::IssuerAuth(stranger.clone()));
        }
        let client = |issuer: &Issuer| {
            let auth = known.iter().rfind(|(named, _)| named == issuer.as_str());
            let settings = ClientSettings {
                auth: auth.map(|(_, auth)| auth.clone()),
                ..self.client.clone()
            };
            settings.build(issuer.clone(), fetch.clone(), self.clock.clone())
        };
        Ok(others.iter().map(client).collect::<Result<_, _>>()?)
    }

    /// Binds the tokens that the guard gets to this key (RFC 9449). Default: off.
    #[must_use]
    pub fn client_dpop(mut self, key: Arc<SigningKey>) -> Self {
        self.client.dpop = Some(key);
        self
    }

    /// A key for `requestState`; servers that answer for each other need the same. Repeated calls add keys: the first
    /// one seals, all open. Default: a random one of this process.
    #[must_use]
    pub fn request_state_key(mut self, key: RequestStateKey) -> Self {
        self.client.request_state_keys.push(key);
        self
    }
}

impl Guard {
    /// The guard as a client of its authorization server, the first one: for tools that call other services. Callers' tokens of
    /// another issuer are exchanged with [`client_of`](Self::client_of) that one.
    pub fn client(&self) -> &OAuthClient {
        &self.0.client
    }

    /// The same for any of its issuers, with the credentials that it has there. `None` for a stranger.
    pub fn client_of(&self, issuer: &str) -> Option<&OAuthClient> {
        let mut clients = std::iter::once(&self.0.client).chain(&self.0.more_clients);
        clients.find(|client| client.issuer() == issuer)
    }
}
