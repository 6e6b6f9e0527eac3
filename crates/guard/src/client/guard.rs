//! The guard's own client.

use std::sync::Arc;

use doorward_jose::SigningKey;

use super::{ClientAuth, OAuthClient, RequestStateKey};
use crate::builder::GuardBuilder;
use crate::guard::Guard;

impl GuardBuilder {
    /// How the guard authenticates to the authorization server when it exchanges, introspects or revokes tokens or gets
    /// its own. Default: not at all.
    #[must_use]
    pub fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client.auth = Some(auth);
        self
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
    /// The guard as a client of its authorization server: for tools that call other services.
    pub fn client(&self) -> &OAuthClient {
        &self.0.client
    }
}
