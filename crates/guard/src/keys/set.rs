//! Keys that were fetched together, and which of them a token was signed with.

use std::time::Duration;

use doorward_jose::{Jwk, JwkSet};
use doorward_oauth::time::UnixSeconds;

use crate::moment::Moment;

/// Keys that were fetched together.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) keys: JwkSet,
    pub(super) fetched_at: Moment,
    /// Another number means other keys.
    pub(super) generation: u64,
}

impl KeySet {
    pub(super) fn age(&self, now: UnixSeconds) -> Duration {
        self.fetched_at.elapsed_at(now)
    }
}

/// Which of the keys a token was signed with.
pub(crate) enum Choice<'k> {
    Found(&'k Jwk),
    /// None of these, but another one may come.
    Missing,
    /// The token does not say, and there is more than one, or none.
    Unnamed,
}

impl<'k> From<Option<&'k Jwk>> for Choice<'k> {
    fn from(key: Option<&'k Jwk>) -> Self {
        key.map_or(Self::Missing, Self::Found)
    }
}
