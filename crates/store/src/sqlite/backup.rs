//! Copies of a database: made while a server uses it, looked at, and put in its place again. A copy counts only when it has
//! been read from end to end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};

use super::files::{clear, copy_file, publish, swap};
use super::location::{Location, LockedFile, beside, check_readable, private, unusable};
use super::{audit, ending, keys, migrations};
use crate::rules::audit::{Hands, database_restored};
use crate::{Ended, Origin, Result, Schema, Sealed, StoreError};

/// How long to wait for a server that starts or stops at that moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How the name of a database goes on that another one took the place of; a number follows.
const REPLACED: &str = ".replaced-";

/// What is in a database file that was read from end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What this program would do to it.
    pub schema: Schema,
    /// Everything that is encrypted under the master key.
    pub sealed: Vec<Sealed>,
    /// The size in bytes.
    pub bytes: u64,
}

/// A database that was put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it holds.
    pub inspection: Inspection,
    /// Where it is now.
    pub path: PathBuf,
    /// Where the database is that was there before, if there was one.
    pub replaced: Option<PathBuf>,
    /// What was ended in it.
    pub ended: Option<Ended>,
}

/// Writes the database of `url`, as it is at one moment, to a new file (mode 0600), also while a server uses it; the server
/// does not wait. The file is there when the copy is whole and was checked, or not at all.
///
/// `check` is told what is in the copy and may refuse it.
///
/// # Errors
///
/// [`StoreError::Unusable`], with the reason; nothing is left then but what a killed process leaves, a file whose name ends
/// in `.unfinished`.
pub fn backup(url: &str, file: &Path, check: impl FnOnce(&Inspection) -> Result<()>) -> Result<Inspection> {
    let source = existing(url)?;
    if file.exists() {
        return Err(unusable(format!(
            "{} exists already; move it away or name another file",
            file.display()
        )));
    }
    let unfinished = beside(file, &format!(".{}.unfinished", std::process::id()));
    let copied = copy_database(&source, &unfinished)
        // The copy is as it was, so what is wrong with it is wrong with the database.
        .and_then(|()| read_whole(&unfinished).map_err(|error| refused(&source, &error)))
        .and_then(|inspection| check(&inspection).map(|()| inspection))
        .and_then(|inspection| {
            publish(&unfinished, file).map_err(|error| cannot("written", file, &error))?;
            Ok(inspection)
        });
    // After a success the same file has two names.
    let _ = fs::remove_file(&unfinished);
    copied
}

/// Reads a database file from end to end.
///
/// # Errors
///
/// [`StoreError::Unusable`] when it is damaged, not a database of this program, or written by a newer one.
pub fn inspect(file: &Path) -> Result<Inspection> {
    read_whole(file).map_err(|error| refused(file, &error))
}

/// How a copy is put in its place.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The database that is there is kept beside it under another name; otherwise it is a reason to refuse.
    pub replace: bool,
    /// Everything that the copy had given out ends ([`Store::end_everything`](crate::Store::end_everything)) before anybody
    /// can use it.
    pub end_grants: bool,
    /// Who does it, and when.
    pub origin: Origin,
}

/// Puts a copy in the place of the database of `url`, which no server may use now, and writes it down in its audit list.
/// `check` is told what is in the copy and may refuse it; nothing is changed then.
///
/// # Errors
///
/// [`StoreError::Unusable`], with the reason.
pub fn restore(
    url: &str,
    file: &Path,
    how: Restore,
    check: impl FnOnce(&Inspection) -> Result<()>,
) -> Result<Restored> {
    let Location::File(path) = Location::parse(url)? else {
        return Err(unusable("a database in memory cannot be restored".to_owned()));
    };
    check_readable(file, || format!("there is no file {}", file.display()))?;
    let journal = beside(file, "-wal");
    if fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
        return Err(unusable(format!(
            "{} has a journal beside it ({}), so it is no whole copy: make one with `doorward backup`",
            file.display(),
            journal.display()
        )));
    }
    // Before anything is made: a wrong file leaves no trace.
    inspect(file)?;
    let lock = LockedFile::take_place(&path)?;
    let path = lock.path.clone();
    if path.exists() && !how.replace {
        return Err(unusable(format!(
            "{} exists already; --replace keeps it under another name and puts the copy in its place",
            path.display()
        )));
    }
    let unfinished = beside(&path, ".restoring");
    // Of a process that was killed, whose lock is gone.
    let restored = clear(&unfinished)
        .and_then(|()| copy_file(file, &unfinished, &path))
        .map_err(|error| cannot("copied", file, &error))
        .and_then(|()| inspect(&unfinished))
        .and_then(|inspection| check(&inspection).map(|()| inspection))
        .and_then(|inspection| {
            let ended = begin_anew(&unfinished, how).map_err(|error| refused(&unfinished, &error))?;
            let replaced =
                swap(&unfinished, &path, REPLACED).map_err(|error| cannot("replaced", &path, &error))?;
            Ok(Restored {
                inspection,
                path: path.clone(),
                replaced,
                ended,
            })
        });
    let _ = clear(&unfinished);
    drop(lock);
    restored
}

/// The database file of a URL.
///
/// # Errors
///
/// [`StoreError::Unusable`] when there is none.
pub fn existing(url: &str) -> Result<PathBuf> {
    let Location::File(path) = Location::parse(url)? else {
        return Err(unusable("a database in memory has no file".to_owned()));
    };
    check_readable(&path, || {
        let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        format!("there is no database at {} (storage.url)", whole.display())
    })?;
    Ok(path)
}

/// One read transaction: the writer goes on meanwhile (WAL), and the copy is of one moment.
fn copy_database(source: &Path, target: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| match error.sqlite_error().map(|failure| failure.extended_code) {
        // The database is only read.
        Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_FSYNC) => unusable(format!(
            "the copy ({}) cannot be written: {error}",
            target.display()
        )),
        _ => refused(source, &error.into()),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(source, flags).map_err(failed)?;
    from.busy_timeout(PATIENCE).map_err(failed)?;
    from.pragma_update(None, "query_only", true).map_err(failed)?;
    migrations::known(&from).map_err(|error| refused(source, &error))?;
    private()
        .create_new(true)
        .write(true)
        .open(target)
        .map_err(|error| cannot("written", target, &error))?;
    let mut to = Connection::open_with_flags(target, flags).map_err(failed)?;
    let step = Backup::new(&from, &mut to)
        .and_then(|backup| backup.step(-1))
        .map_err(failed)?;
    if step != StepResult::Done {
        return Err(unusable(format!(
            "{} is locked by another process; try again",
            source.display()
        )));
    }
    // One file that needs no other beside it.
    to.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        .map_err(failed)?;
    to.close().map_err(|(_, error)| failed(error))
}

fn read_whole(file: &Path) -> Result<Inspection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(PATIENCE)?;
    let schema = migrations::known(&db)?;
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        // The first line names the database, the second one what is wrong with it.
        let what = found.lines().last().unwrap_or_default();
        return Err(StoreError::Unusable(format!("it is damaged: {what}")));
    }
    let orphans = db.prepare("PRAGMA foreign_key_check")?.exists([])?;
    if orphans {
        return Err(StoreError::Unusable(
            "it is damaged: rows name others that are not there".to_owned(),
        ));
    }
    let sealed = keys::all_sealed(&db)?;
    let bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
    Ok(Inspection {
        schema,
        sealed,
        bytes,
    })
}

/// Another log of revocations, since the positions of the one in the copy are given again; and, when it is asked for, an
/// end to everything. Written down in the same transaction.
fn begin_anew(file: &Path, how: Restore) -> Result<Option<Ended>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(file, flags)?;
    migrations::migrate(&mut db)?;
    let transaction = db.transaction()?;
    let ended = if how.end_grants {
        Some(ending::everything(&transaction, how.origin.at)?)
    } else {
        None
    };
    ending::begin_log(&transaction)?;
    Hands::new(how.origin)
        .events(database_restored(ended.as_ref()))
        .try_for_each(|event| audit::insert(&transaction, &event))?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)?;
    File::open(file)
        .and_then(|file| file.sync_all())
        .map_err(|error| cannot("written", file, &error))?;
    Ok(ended)
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    unusable(format!("{} cannot be {what}: {error}", path.display()))
}

pub(super) fn refused(path: &Path, error: &StoreError) -> StoreError {
    let why = match error {
        StoreError::Unusable(why)
        | StoreError::Unavailable(why)
        | StoreError::Damaged(why)
        | StoreError::Internal(why) => why.clone(),
        other => other.to_string(),
    };
    unusable(format!("{} cannot be used: {why}", path.display()))
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
