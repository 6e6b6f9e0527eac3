//! Which grants a filter means, and what goes with a grant that ends.

use crate::{EndReason, Grant, GrantFilter, Resource};

/// How many grants end in one transaction at most, where there may be any number: nobody is to wait for all of them.
pub(crate) const SOME: u32 = 500;

/// Which grants end.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    Matching(GrantFilter),
    /// On the word of this issuer (its slug).
    OfIssuer(String),
}

impl Whose {
    pub(crate) fn of_client(client_id: &str) -> Self {
        Self::Matching(GrantFilter {
            client_id: Some(client_id.to_owned()),
            ..GrantFilter::default()
        })
    }

    pub(crate) fn on_resource(uri: &str) -> Self {
        Self::Matching(GrantFilter {
            resource: Some(uri.to_owned()),
            ..GrantFilter::default()
        })
    }
}

/// The URI that this change takes from a resource, when nothing speaks against it.
pub(crate) fn loses_its_uri<'a>(all: &'a [Resource], changed: &Resource) -> Option<&'a str> {
    let before = all.iter().find(|resource| resource.slug == changed.slug)?;
    let is_taken = all.iter().any(|resource| resource.uri == changed.uri);
    (!is_taken).then_some(&before.uri)
}

pub(crate) fn matches(filter: &GrantFilter, grant: &Grant) -> bool {
    filter.user.is_none_or(|user| user == grant.user)
        && filter
            .client_id
            .as_ref()
            .is_none_or(|client| *client == grant.client_id)
        && filter
            .resource
            .as_ref()
            .is_none_or(|resource| *resource == grant.resource || grant.more_resources.contains(resource))
        && filter.state.is_none_or(|state| state == grant.state)
}

/// Whether the remembered consent goes with the grant: when the person or an operator ends it, the client has to
/// ask again.
pub(crate) const fn forgets_consent(reason: EndReason) -> bool {
    matches!(reason, EndReason::RevokedByUser | EndReason::RevokedByAdmin)
}
