//! What a person allowed a client before. A request passes without asking only when nothing about it is new:
//! the client as it was, a redirect URI that the person has seen, and no scope beyond those allowed.

use doorward_oauth::redirect::RedirectUri;
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope, ScopeSet};
use doorward_store::{Consent, Resource, User};

use super::request::AuthorizationRequest;
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::PageError;

/// A consent of the past that still says something about this client and redirect URI.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Option<Consent>);

impl Remembered {
    /// What is remembered. A client that changed its redirect URIs, keys or name is a new one.
    pub(crate) async fn find(
        ctx: &Context,
        request: &AuthorizationRequest,
        client: &Client,
        user: &User,
    ) -> Result<Self, PageError> {
        // A device is always asked about: whoever typed its code may have been talked into it (RFC 8628 §5.4). So are
        // several resources at once.
        let (Some(redirect_uri), true) = (request.redirect_uri(), request.more_resources.is_empty()) else {
            return Ok(Self::default());
        };
        let consent = ctx
            .store
            .consent(user.id, &request.client_id, &request.resource)
            .await?;
        let seen = comparable(redirect_uri);
        Ok(Self(consent.filter(|consent| {
            consent.fingerprint == client.fingerprint && consent.redirect_uris.contains(&seen)
        })))
    }

    /// Whether the person has sent this client to this redirect URI before.
    pub(crate) const fn knows_redirect_uri(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the request can pass without asking.
    pub(crate) fn allows(&self, request: &AuthorizationRequest) -> bool {
        !request.prompt.asks_consent()
            && self
                .0
                .as_ref()
                .is_some_and(|consent| consent.scopes.contains_all(&request.scopes))
    }

    /// What the request asks for, and what the person allowed before: a client that asks for one more scope does not
    /// lose the others. One that asks for none but those has chosen.
    pub(crate) fn with_earlier(&self, requested: &ScopeSet, defined: &Resource) -> ScopeSet {
        let Some(consent) = &self.0 else {
            return requested.clone();
        };
        let adds = requested
            .iter()
            .any(|scope| scope.as_str() != OFFLINE_ACCESS && !consent.scopes.contains(scope.as_str()));
        if !adds {
            return requested.clone();
        }
        let is_defined = |scope: &&Scope| defined.scopes.iter().any(|known| known.name == scope.as_str());
        let earlier: ScopeSet = consent.scopes.iter().filter(is_defined).cloned().collect();
        let both = requested.union(&earlier);
        // More than a token can carry: what is asked for counts.
        if both.check_size().is_err() {
            return requested.clone();
        }
        both
    }

    /// The scopes that the person allowed before.
    pub(crate) fn scopes(&self) -> ScopeSet {
        self.0
            .as_ref()
            .map(|consent| consent.scopes.clone())
            .unwrap_or_default()
    }

    /// Whether the person lets the client stay connected: refresh tokens.
    pub(crate) fn stays_connected(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|consent| consent.scopes.contains(OFFLINE_ACCESS))
    }
}

/// A redirect URI as it is remembered: a loopback URI without its port, which changes with every start.
pub(crate) fn comparable(redirect_uri: &str) -> String {
    RedirectUri::parse(redirect_uri).map_or_else(|_| redirect_uri.to_owned(), |uri| uri.comparable())
}
