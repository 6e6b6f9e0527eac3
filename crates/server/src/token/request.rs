//! What a grant is given.

use std::sync::Arc;

use doorward_jose::Signer;
use doorward_oauth::dpop::Proof;
use doorward_oauth::parameters::Parameters;
use doorward_store::{Resource, Store};

use crate::clients::authentication::AuthenticatedClient;
use crate::clients::spending::spend_all;
use crate::context::Context;
use crate::dpop;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;

/// A request to the token endpoint: the client is authenticated, the proof of possession is good for it. Neither the
/// client's assertion nor the proof is used up yet.
#[derive(Clone, Copy)]
pub(crate) struct TokenRequest<'r> {
    pub(crate) ctx: &'r Arc<Context>,
    pub(crate) info: &'r RequestInfo,
    pub(crate) client: &'r AuthenticatedClient,
    pub(crate) parameters: &'r Parameters,
    pub(crate) proof: Option<&'r Proof>,
    /// Known before anything is used up: what is used up for nothing cannot be had again.
    pub(crate) signer: &'r dyn Signer,
}

impl<'r> TokenRequest<'r> {
    /// The store in the client's hands.
    pub(crate) fn acting(&self) -> Box<dyn Store> {
        self.ctx.acting(self.info, self.client.actor())
    }

    /// The thumbprint of the key that the client proved to have.
    pub(crate) fn key_thumbprint(&self) -> Option<&'r str> {
        self.proof.map(Proof::key_thumbprint)
    }

    /// Refuses a request without a proof where the client or the resource wants bound tokens (RFC 9449 §5.2).
    pub(crate) fn check_bound<'a>(
        &self,
        resources: impl IntoIterator<Item = &'a Resource>,
    ) -> Result<(), TokenError> {
        match self.proof {
            Some(_) => Ok(()),
            None => check_unbound(self.client, resources),
        }
    }

    /// Whether [`Self::spend`] has something to use up.
    pub(crate) fn spends(&self) -> bool {
        self.proof.is_some() || self.client.unspent().is_some()
    }

    /// Uses up what counts once: the last thing before a grant changes anything, after every check.
    pub(crate) async fn spend(&self) -> Result<(), TokenError> {
        if spend_all(
            self.ctx,
            self.info,
            self.client,
            self.proof.map(dpop::spend).as_slice(),
        )
        .await?
        {
            return Ok(());
        }
        Err(dpop::replayed())
    }
}

/// Refuses tokens that are bound to no key where the client or the resource wants bound ones (RFC 9449 §5.2).
pub(crate) fn check_unbound<'a>(
    client: &AuthenticatedClient,
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<(), TokenError> {
    if client.registered().metadata.dpop_bound_access_tokens {
        return Err(dpop::invalid(
            "This client is registered for tokens that are bound to a key (dpop_bound_access_tokens); send a DPoP proof.",
        ));
    }
    check_wants_no_key(resources)
}

/// Refuses tokens that are bound to no key where a resource wants bound ones.
pub(crate) fn check_wants_no_key<'a>(
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<(), TokenError> {
    let mut resources = resources.into_iter();
    if resources.any(|resource| resource.policy.dpop_bound_access_tokens_required) {
        return Err(dpop::invalid(
            "The resource takes tokens that are bound to a key; send a DPoP proof.",
        ));
    }
    Ok(())
}
