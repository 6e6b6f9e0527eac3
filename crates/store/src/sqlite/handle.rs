//! The embedded engine as its callers hold it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::location::{Location, LockedFile, beside, check_readable, exists};
use super::{Engine, SqliteOptions, keys, migrations, prepare, refusal};
use crate::rules::audit::Hands;
use crate::{Look, Origin, Result, Sealed, SecretsInUse, Store, StoreError, Turn};

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

    /// The file that a URL names, from the root; `None` for a database in memory.
    ///
    /// # Errors
    ///
    /// As [`SqliteStore::check_url`].
    pub fn file(url: &str) -> Result<Option<PathBuf>> {
        Ok(match Location::parse(url)? {
            Location::File(path) => Some(std::path::absolute(&path).unwrap_or(path)),
            Location::Memory => None,
        })
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
        let mut found = None;
        if exists(&file.path)? {
            file = file.with_database()?;
            found = look(&file.path, options).map_err(|error| refusal(&file.path, error))?;
        }
        let checked = check(&found.map_or_else(Vec::new, |found| found.sealed))?;
        let engine = Engine::of_file(file.with_database()?, options)?;
        Ok((Self::new(engine), checked))
    }

    /// What is in the database of this URL, also while a server uses it; `None`: there is none yet, or it is new. Changes
    /// nothing, and makes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], with the reason, when it cannot be read or understood.
    pub fn look(url: &str, options: &SqliteOptions) -> Result<Option<Look>> {
        match Location::parse(url)? {
            Location::File(path) if exists(&path)? => {
                look(&path, options).map_err(|error| refusal(&path, error))
            }
            _ => Ok(None),
        }
    }

    /// What would end with the keys and secrets in the database of this URL, and so many of the clients; on an older schema
    /// too, and also while a server uses it. `None`: there is none yet, or it is new. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`SqliteStore::look`].
    pub fn secrets_in_use(url: &str, options: &SqliteOptions, clients: u32) -> Result<Option<SecretsInUse>> {
        let path = match Location::parse(url)? {
            Location::File(path) if exists(&path)? => path,
            _ => return Ok(None),
        };
        let count = || {
            let db = reader(&path, options)?;
            db.map(|db| keys::in_use(&db, clients)).transpose()
        };
        count().map_err(|error| refusal(&path, error))
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

/// What is in a file that is there.
fn look(file: &Path, options: &SqliteOptions) -> Result<Option<Look>> {
    let Some(db) = reader(file, options)? else {
        return Ok(None);
    };
    let schema = migrations::known(&db)?;
    let has_times = schema.last.as_str() >= "0008_signing_key_times";
    Ok(Some(Look {
        schema,
        sealed: keys::all_sealed(&db)?,
        signing_keys: has_times.then(|| keys::signing_keys(&db)).transpose()?,
    }))
}

/// A connection that changes nothing in a file that is there, and leaves nothing beside it; `None` when the database is new.
pub(super) fn reader(file: &Path, options: &SqliteOptions) -> Result<Option<Connection>> {
    let has_journal = ["-wal", "-journal"]
        .iter()
        .any(|suffix| beside(file, suffix).exists());
    check_readable(file, || format!("{} is not there any more", file.display()))?;
    let db = match immutable(file).filter(|_| !has_journal) {
        Some(uri) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_URI
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(uri, flags)?
        }
        None => beside_a_server(file, options)?,
    };
    if migrations::is_new(&db)? {
        return Ok(None);
    }
    migrations::known(&db)?;
    Ok(Some(db))
}

/// The file as a URI of SQLite that says that nobody writes, so that there are neither locks nor journals; `None` where its
/// name is no text.
fn immutable(file: &Path) -> Option<String> {
    let path = std::path::absolute(file).ok()?;
    let mut uri = String::from("file:");
    for character in path.to_str()?.chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    Some(uri + "?immutable=1")
}

/// A server may run, or has left a transaction in the journal that has to be undone: to write is needed for that.
fn beside_a_server(file: &Path, options: &SqliteOptions) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    prepare(&db, options)?;
    db.pragma_update(None, "query_only", true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}
