//! Grants that this node used last, so that the next use need not read them first. What the checks of a refresh look at, and
//! what its answer tells, never changes while a grant is active; the rotation looks at the rest in the database, and brings
//! it back. A client comes back with each of its tokens.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::{Grant, GrantId, GrantState};

/// About 15 MB.
const KEPT: usize = 16_384;

/// Grants with refresh tokens, each as it was when it was used last.
pub(super) struct UsedGrants(Cache<GrantId, Arc<Grant>>);

impl Default for UsedGrants {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl UsedGrants {
    pub(super) fn get(&self, id: GrantId) -> Option<Arc<Grant>> {
        self.0.get(&id)
    }

    /// Keeps a grant that was used, or looked at, if it can be used again.
    pub(super) fn note(&self, grant: &Grant) {
        if grant.state == GrantState::Active && grant.refresh_expires_at.is_some() {
            self.0.insert(grant.id, Arc::new(grant.clone()));
        }
    }

    pub(super) fn forget(&self, id: GrantId) {
        drop(self.0.remove(&id));
    }
}
