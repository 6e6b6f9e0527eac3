//! Turns among the callers of one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// One lock for each name. The names are the program's own.
#[derive(Default)]
pub(crate) struct Turns(std::sync::Mutex<HashMap<&'static str, Arc<Mutex<()>>>>);

impl Turns {
    /// Waits for the turn.
    pub(crate) async fn take(&self, name: &'static str) -> OwnedMutexGuard<()> {
        self.lock(name).lock_owned().await
    }

    /// The turn, when nobody else has it.
    pub(crate) fn try_take(&self, name: &'static str) -> Option<OwnedMutexGuard<()>> {
        self.lock(name).try_lock_owned().ok()
    }

    fn lock(&self, name: &'static str) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name).or_default())
    }
}
