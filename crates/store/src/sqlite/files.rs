//! Files of databases: given a name, put in another one's place, cleared away.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::location::{beside, create_for, private, sync_directory};

/// `place`: the database that the copy will be.
pub(super) fn copy_file(from: &Path, to: &Path, place: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = create_for(place, to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

/// Removes a copy that is not finished, and the journals beside it: SQLite would take them for those of the next copy.
pub(super) fn clear(unfinished: &Path) -> io::Result<()> {
    for suffix in ["-journal", "-wal", "-shm", ""] {
        match fs::remove_file(beside(unfinished, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives the finished copy its name; unlike a rename, a link replaces nothing.
pub(super) fn publish(unfinished: &Path, file: &Path) -> io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    name_with(|from, to| fs::hard_link(from, to), unfinished, file)?;
    sync_directory(file)
}

/// Where a file system has no links, as those of shares and sticks that backups go to, the name is taken first, so that
/// the rename replaces nothing but what was made here.
fn name_with(
    link: impl Fn(&Path, &Path) -> io::Result<()>,
    unfinished: &Path,
    file: &Path,
) -> io::Result<()> {
    match link(unfinished, file) {
        // Linux says EPERM (`link(2)`), others that it is not supported.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            private().create_new(true).write(true).open(file)?;
            fs::rename(unfinished, file).inspect_err(|_| {
                let _ = fs::remove_file(file);
            })
        }
        linked => linked,
    }
}

/// At no moment is there no database: a server that starts then would make an empty one. The one before is kept under its
/// name, `kind` and a number.
pub(super) fn swap(new: &Path, path: &Path, kind: &str) -> io::Result<Option<PathBuf>> {
    let replaced = if path.exists() {
        settle(path);
        Some(put_aside(path, kind)?)
    } else {
        None
    };
    let _ = fs::remove_file(beside(path, "-shm"));
    if let Err(error) = fs::rename(new, path) {
        if let Some(replaced) = &replaced {
            put_back(replaced, path);
        }
        return Err(error);
    }
    sync_directory(path)?;
    Ok(replaced)
}

/// Moves the journal into the database. What cannot be read any more keeps it.
fn settle(path: &Path) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let settled = Connection::open_with_flags(path, flags)
        .and_then(|db| db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;"));
    if let Err(error) = settled {
        tracing::warn!(%error, "the database that is replaced cannot be read");
    }
}

fn put_aside(path: &Path, kind: &str) -> io::Result<PathBuf> {
    let mut number = 1;
    let replaced = loop {
        let name = beside(path, &format!("{kind}{number}"));
        match fs::hard_link(path, &name) {
            Ok(()) => break name,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    let journal = beside(path, "-wal");
    if journal.exists()
        && let Err(error) = fs::rename(&journal, beside(&replaced, "-wal"))
    {
        put_back(&replaced, path);
        return Err(error);
    }
    Ok(replaced)
}

/// The database keeps its place after all, and with it the journal, which may hold what is nowhere else.
fn put_back(replaced: &Path, path: &Path) {
    let journal = beside(replaced, "-wal");
    if journal.exists()
        && let Err(error) = fs::rename(&journal, beside(path, "-wal"))
    {
        tracing::error!(journal = %journal.display(), %error, "this journal could not be moved back beside its database");
        return;
    }
    // A second name of the same file.
    let _ = fs::remove_file(replaced);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As file systems without links answer.
    fn no_links(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn a_copy_gets_its_name_where_there_are_no_links_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (unfinished, file) = (
            folder.path().join("copy.unfinished"),
            folder.path().join("copy.db"),
        );
        fs::write(&unfinished, "whole").unwrap();
        name_with(no_links, &unfinished, &file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
        assert!(!unfinished.exists());

        fs::write(&unfinished, "another").unwrap();
        let refused = name_with(no_links, &unfinished, &file).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
        assert!(unfinished.exists());
    }

    /// A name that nobody finishes would keep the next copy from being made.
    #[test]
    fn a_name_that_was_taken_for_nothing_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, file) = (
            folder.path().join("copy.unfinished"),
            folder.path().join("copy.db"),
        );
        name_with(no_links, &missing, &file).unwrap_err();
        assert!(!file.exists());
    }
}
