//! The embedded engine as its callers hold it.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::location::{Location, LockedFile};
use super::{Engine, SqliteOptions, keys, migrations, prepare, refusal};
use crate::rules::audit::Hands;
use crate::{Origin, Result, Sealed, Store, StoreError, Turn};

/// The embedded engine.
pub struct SqliteStore {
    engine: Arc<Engine>,
    /// Who changes something through this handle; nothing is written down where nobody is named.
    pub(super) hands: Option<Arc<Hands>>,
    /// Whose turn it is to change something, as long as that lasts.
    pub(super) turn: Option<Turn>,
}

impl SqliteStore {
    /// Whether a URL can be one, without looking whether anything is there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], with the reason.
    pub fn check_url(url: &str) -> Result<()> {
        Location::parse(url).map(drop)
    }

    /// Opens `sqlite://path/to/file.db` (relative), `sqlite:///path/to/file.db` (absolute), a plain path, or
    /// `sqlite::memory:`; creates directory and file (mode 0600) if need be and brings the schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], with the reason, when another process has the database,
    /// or when the file is not one that this program understands.
    pub fn open(url: &str, options: &SqliteOptions) -> Result<Self> {
        Engine::open(url, options).map(Self::new)
    }

    /// The same, when `check` takes what is encrypted under the master key, as it lies there (nothing in a new database). Before
    /// that nothing is changed: neither the schema nor a row. Beside the store, what `check` returned.
    ///
    /// # Errors
    ///
    /// That of `check`, or as [`SqliteStore::open`].
    pub fn open_checked<T, E: From<StoreError>>(
        url: &str,
        options: &SqliteOptions,
        check: impl FnOnce(&[Sealed]) -> std::result::Result<T, E>,
    ) -> std::result::Result<(Self, T), E> {
        let Location::File(path) = Location::parse(url)? else {
            let checked = check(&[])?;
            return Ok((Self::open(url, options)?, checked));
        };
        // Nobody else changes it from here on; and none is made before its key is known.
        let mut file = LockedFile::take_place(&path)?;
        let mut found = Vec::new();
        if file.has_database()? {
            file = file.with_database()?;
            found = look(&file.path, options).map_err(|error| refusal(&file.path, error))?;
        }
        let checked = check(&found)?;
        let engine = Engine::of_file(file.with_database()?, options)?;
        Ok((Self::new(engine), checked))
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
            turn: None,
        }
    }

    /// The same engine in other hands.
    pub(super) fn in_the_hands_of(&self, origin: Origin, turn: Option<Turn>) -> Box<dyn Store> {
        Box::new(Self {
            engine: Arc::clone(&self.engine),
            hands: Some(Arc::new(Hands::new(origin))),
            turn,
        })
    }
}

impl Deref for SqliteStore {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

/// What is encrypted under the master key.
fn look(file: &Path, options: &SqliteOptions) -> Result<Vec<Sealed>> {
    // To write is needed where a transaction has to be undone that a crash left.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    prepare(&db, options)?;
    db.pragma_update(None, "query_only", true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    migrations::refuse(&db)?;
    if migrations::is_ours(&db)? {
        keys::all_sealed(&db)
    } else {
        Ok(Vec::new())
    }
}
