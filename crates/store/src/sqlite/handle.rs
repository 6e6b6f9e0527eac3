//! The embedded engine as its callers hold it.

use std::ops::Deref;
use std::sync::Arc;

use super::{Engine, SqliteOptions};
use crate::rules::audit::Hands;
use crate::{Origin, Result, Store};

/// The embedded engine.
pub struct SqliteStore {
    engine: Arc<Engine>,
    /// Who changes something through this handle; nothing is written down where nobody is named.
    pub(super) hands: Option<Arc<Hands>>,
}

impl SqliteStore {
    /// Opens `sqlite://path/to/file.db` (relative), `sqlite:///path/to/file.db` (absolute), a plain path, or
    /// `sqlite::memory:`; creates directory and file (mode 0600) if need be and brings the schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`](crate::StoreError::Unusable), with the reason, when another process has the database,
    /// or when the file is not one that this program understands.
    pub fn open(url: &str, options: &SqliteOptions) -> Result<Self> {
        Engine::open(url, options).map(Self::new)
    }

    /// A database that ends with this value: for tests.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub fn temporary() -> Result<Self> {
        Engine::in_memory(&SqliteOptions::default()).map(Self::new)
    }

    fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            hands: None,
        }
    }

    /// The same engine in other hands.
    pub(super) fn in_the_hands_of(&self, origin: Origin) -> Box<dyn Store> {
        Box::new(Self {
            engine: Arc::clone(&self.engine),
            hands: Some(Arc::new(Hands::new(origin))),
        })
    }
}

impl Deref for SqliteStore {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
