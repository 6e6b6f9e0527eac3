//! What people allowed before.

use doorward_oauth::scope::ScopeSet;

use crate::{Approval, Consent, GrantFilter};

/// Which consents: those that a client has, or those for a resource.
#[derive(Debug, Clone)]
pub(crate) enum ConsentsOf {
    /// By its id.
    Client(String),
    /// By its URI.
    Resource(String),
}

impl ConsentsOf {
    pub(crate) fn client(id: &str) -> Self {
        Self::Client(id.to_owned())
    }

    pub(crate) fn resource(uri: &str) -> Self {
        Self::Resource(uri.to_owned())
    }

    pub(crate) fn filter(&self) -> GrantFilter {
        let (client_id, resource) = match self {
            Self::Client(id) => (Some(id.clone()), None),
            Self::Resource(uri) => (None, Some(uri.clone())),
        };
        GrantFilter {
            client_id,
            resource,
            ..GrantFilter::default()
        }
    }
}

/// Whether an approval for which nobody was asked may rest on this.
pub(crate) fn is_ground_for(consent: Option<&Consent>, approval: &Approval) -> bool {
    consent.is_some_and(|consent| {
        consent.fingerprint == approval.fingerprint && consent.scopes.contains_all(&approval.grant.scopes)
    })
}

/// Adds to what was allowed before, less what the person has now left out; starts afresh when the client is not what
/// it was (its fingerprint).
pub(crate) fn merge(before: Option<Consent>, new: &Consent, declined: &ScopeSet) -> Consent {
    let mut merged = new.clone();
    if let Some(before) = before
        && before.fingerprint == new.fingerprint
    {
        let both = before.scopes.difference(declined).union(&new.scopes);
        // What outgrew its bounds is begun anew.
        if both.check_size().is_ok() {
            merged.scopes = both;
        }
        merged.redirect_uris = before.redirect_uris;
        for uri in &new.redirect_uris {
            if !merged.redirect_uris.contains(uri) {
                merged.redirect_uris.push(uri.clone());
            }
        }
    }
    merged
}
