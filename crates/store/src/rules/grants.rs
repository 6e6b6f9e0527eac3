//! Which grants a filter means, and what goes with a grant that ends.

use crate::{EndReason, Grant, GrantFilter};

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
