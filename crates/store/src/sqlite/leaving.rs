//! A database that moves away: read at one moment while nobody else has it, and put aside when it has arrived.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::backup::{PATIENCE, cannot, existing, refused};
use super::files::{clear, swap};
use super::handle::reader;
use super::location::{LockedFile, beside, create_for};
use super::{SqliteOptions, keys, migrations, prepare, refusal};
use crate::moving::layout::{Described, Table};
use crate::moving::rows::{self, Sum};
use crate::{Result, Sealed, StoreError};

/// How the name of the database goes on when it has moved away; a number follows.
const KEPT: &str = ".moved-";
/// Rows are handed on in pieces of this size.
const PIECE: usize = 256 * 1024;

/// The file, which no server can open as long as this value lives.
pub(crate) struct Leaving {
    lock: LockedFile,
    mark: PathBuf,
}

impl Leaving {
    pub(crate) fn lock(url: &str) -> Result<Self> {
        let lock = LockedFile::take_place(&existing(url)?)?;
        let mark = beside(&lock.path, ".moving");
        Ok(Self { lock, mark })
    }

    pub(crate) fn source(&self) -> Result<Source> {
        Source::open(&self.lock.path).map_err(|error| refusal(&self.lock.path, error))
    }

    /// Makes what will stand in the place of the database, while nothing has happened yet.
    pub(crate) fn prepare(&self) -> Result<()> {
        let failed = |error| cannot("written", &self.mark, &error);
        clear(&self.mark).map_err(failed)?;
        // Those who start the server have to be told.
        let file = create_for(&self.lock.path, &self.mark).map_err(failed)?;
        let marked = Connection::open(&self.mark)
            .map_err(StoreError::from)
            .and_then(|db| migrations::mark_as_moved(&db));
        marked.map_err(|error| refused(&self.mark, &error))?;
        file.sync_all().map_err(failed)?;
        // As it is put aside in the end.
        let tried = beside(&self.lock.path, ".moving-trial");
        let linked = fs::hard_link(&self.lock.path, &tried).and_then(|()| fs::remove_file(&tried));
        linked.map_err(|error| cannot("given another name", &self.lock.path, &error))
    }

    /// Puts the database aside; where it is then. What stands in its place is refused by every start.
    pub(crate) fn put_aside(&self) -> std::result::Result<PathBuf, String> {
        match swap(&self.mark, &self.lock.path, KEPT) {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => Err(format!("{} is not there any more", self.lock.path.display())),
            Err(error) => Err(format!("{} cannot be renamed: {error}", self.lock.path.display())),
        }
    }
}

impl Drop for Leaving {
    /// What was prepared and not needed.
    fn drop(&mut self) {
        let _ = clear(&self.mark);
    }
}

/// A connection to the database as it is at one moment.
pub(crate) struct Source {
    db: Connection,
}

impl Source {
    /// Also while a server uses it; leaves nothing beside it.
    pub(crate) fn look(url: &str) -> Result<Self> {
        let path = existing(url)?;
        let look = || {
            let db = reader(&path, &SqliteOptions::default())?.ok_or_else(nothing)?;
            Self::at_one_moment(db)
        };
        look().map_err(|error| refusal(&path, error))
    }

    fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        prepare(&db, &SqliteOptions::default())?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "query_only", true)?;
        if migrations::is_new(&db)? {
            return Err(nothing());
        }
        Self::at_one_moment(db)
    }

    fn at_one_moment(db: Connection) -> Result<Self> {
        db.execute_batch("BEGIN")?;
        migrations::refuse_other_steps(&db)?;
        Ok(Self { db })
    }

    pub(crate) fn sealed(&self) -> Result<Vec<Sealed>> {
        keys::all_sealed(&self.db)
    }

    /// The name of the log of revocations, which no other database has.
    pub(crate) fn log_name(&self) -> Result<String> {
        let name = "SELECT name FROM revocation_log WHERE id = 1";
        Ok(self.db.query_row(name, [], |row| row.get(0))?)
    }

    /// The greatest id of the audit list, in hexadecimal, and of the records of tokens: ids begin with the time.
    pub(crate) fn newest(&self) -> Result<[String; 2]> {
        let newest = "SELECT coalesce(lower(hex(max(id))), ''), (SELECT coalesce(max(jti), '') FROM issuance) FROM audit_event";
        Ok(self
            .db
            .query_row(newest, [], |row| Ok([row.get(0)?, row.get(1)?]))?)
    }

    pub(crate) fn columns(&self, table: &str) -> Result<Vec<Described>> {
        let mut columns = self
            .db
            .prepare("SELECT name, type, pk > 0 FROM pragma_table_xinfo(?1) ORDER BY cid")?;
        let columns = columns.query_map([table], |row| {
            Ok(Described {
                name: row.get(0)?,
                kind: row.get(1)?,
                is_key: row.get(2)?,
                is_counted: false,
            })
        })?;
        Ok(columns.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn count(&self, table: &str) -> Result<u64> {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = self.db.query_row(&count, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The number after the highest that a counted column was ever given.
    pub(crate) fn next(&self, table: &str, column: &str) -> Result<i64> {
        let highest = format!(
            "SELECT max(coalesce((SELECT max({column}) FROM {table}), 0), \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0))"
        );
        let highest: i64 = self.db.query_row(&highest, [table], |row| row.get(0))?;
        Ok(highest.saturating_add(1))
    }

    /// Hands the rows of a table on, in the order of its key and some at a time, as long as they are wanted; what they were.
    pub(crate) fn read(&self, table: &Table, mut take: impl FnMut(Vec<u8>, u64) -> bool) -> Result<Sum> {
        let mut sum = Sum::default();
        let mut piece = Vec::with_capacity(PIECE * 2);
        let mut statement = self.db.prepare(&select(table))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let begin = piece.len();
            rows::write(row, table, &mut piece)?;
            sum.add(piece.get(begin..).unwrap_or_default());
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE * 2));
                if !take(full, sum.rows) {
                    return Ok(sum);
                }
            }
        }
        take(piece, sum.rows);
        Ok(sum)
    }

    /// The key of the row that was handed on as this one, counted from 1, for people.
    pub(crate) fn key_of(&self, table: &Table, number: u64) -> Option<String> {
        let one = format!("{} LIMIT 1 OFFSET ?1", select(table));
        let before = i64::try_from(number.checked_sub(1)?).ok()?;
        let key = |row: &rusqlite::Row<'_>| Ok(rows::key(row, table));
        self.db.query_row(&one, [before], key).ok()?.ok()
    }
}

fn select(table: &Table) -> String {
    format!(
        "SELECT {} FROM {} ORDER BY {}",
        table.names(),
        table.name,
        table.key_names()
    )
}

fn nothing() -> StoreError {
    StoreError::Unusable("it is new, so there is nothing to move".to_owned())
}
