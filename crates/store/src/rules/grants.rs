//! Which grants a filter means, and what goes with a grant that ends.

use std::future::Future;

use crate::{EndReason, Grant, GrantFilter, GrantId, Resource, Result};

/// How many grants end, or consents are forgotten, in one transaction at most, where there may be any number: nobody is to wait
/// for all of them.
pub(crate) const AT_A_TIME: u32 = 500;

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

    /// The one that a filter names.
    pub(crate) fn one(&self) -> Option<GrantId> {
        match self {
            Self::Matching(filter) => filter.id,
            Self::OfIssuer(_) => None,
        }
    }
}

/// Whether there may be more.
pub(crate) fn is_full<I>(some: &[I]) -> bool {
    some.len() >= AT_A_TIME as usize
}

/// Some after the other, by each way; how many they were. `end_some` is given the way and the one to begin after.
pub(crate) async fn some_at_a_time<W: Copy, I: Copy, F: Future<Output = Result<Vec<I>>>>(
    ways: &[W],
    first: I,
    end_some: impl Fn(W, I) -> F,
) -> Result<u64> {
    let mut ended = 0;
    for &way in ways {
        let mut after = first;
        loop {
            let some = end_some(way, after).await?;
            ended += some.len() as u64;
            match some.last() {
                Some(last) if is_full(&some) => after = *last,
                _ => break,
            }
        }
    }
    Ok(ended)
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

/// What is forgotten beside the consents of the grants that end by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgets {
    /// What matches, before the grants end: nothing is given on it behind them.
    Matching,
    /// What is remembered for this grant, if it had ended before: that outlives a grant which ended by itself.
    OfEnded(GrantId),
    Nothing,
}

impl Forgets {
    pub(crate) fn of(filter: &GrantFilter, reason: EndReason) -> Self {
        match filter {
            _ if !forgets_consent(reason) => Self::Nothing,
            GrantFilter { id: Some(grant), .. } => Self::OfEnded(*grant),
            GrantFilter { state: None, .. } => Self::Matching,
            GrantFilter { state: Some(_), .. } => Self::Nothing,
        }
    }
}

/// Whether the remembered consent goes with the grant: when the person or an operator ends it, the client has to
/// ask again.
pub(crate) const fn forgets_consent(reason: EndReason) -> bool {
    matches!(reason, EndReason::RevokedByUser | EndReason::RevokedByAdmin)
}
