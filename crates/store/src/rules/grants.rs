//! Which grants a filter means.

use crate::{Grant, GrantFilter};

pub(crate) fn matches(filter: &GrantFilter, grant: &Grant) -> bool {
    filter.user.is_none_or(|user| user == grant.user)
        && filter
            .client_id
            .as_ref()
            .is_none_or(|client| *client == grant.client_id)
        && filter
            .resource
            .as_ref()
            .is_none_or(|resource| *resource == grant.resource)
        && filter.state.is_none_or(|state| state == grant.state)
}
