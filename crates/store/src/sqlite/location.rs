//! Where the database lives, and that it lives there for one process only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::{Result, StoreError};

/// Where the database lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    Memory,
    File(PathBuf),
}

impl Location {
    /// `sqlite://data/doorward.db`, `sqlite:///var/lib/doorward/doorward.db`, `sqlite::memory:`, or a path.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let path = match url.strip_prefix("sqlite:") {
            Some(":memory:") => return Ok(Self::Memory),
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if url == ":memory:" => return Ok(Self::Memory),
            None if url.contains("://") => {
                return Err(unusable(format!(
                    "{} is not a SQLite URL: write sqlite://path/to/file.db",
                    scheme(url)
                )));
            }
            None => url,
        };
        if path.is_empty() || path.ends_with('/') || path.contains(['?', '#', '\0']) {
            return Err(unusable(format!(
                "{url} names no database file: write sqlite://path/to/file.db (parameters are not supported)"
            )));
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

/// Not the whole URL: it may hold a password.
fn scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
}

pub(super) fn unusable(message: String) -> StoreError {
    StoreError::Unusable(message)
}

/// The database file, locked for this process as long as this value lives.
pub(super) struct LockedFile {
    /// The file itself, symbolic links followed.
    pub(super) path: PathBuf,
    lock: File,
}

impl LockedFile {
    /// Creates the directory and the file if need be (mode 0600), and takes the lock.
    pub(super) fn take(path: &Path) -> Result<Self> {
        Self::take_place(path)?.with_database()
    }

    /// Creates the file if need be. Only with the lock: whoever closes a database file gives up every POSIX lock that its
    /// process holds on it.
    pub(super) fn with_database(self) -> Result<Self> {
        create_database(&self.path)?;
        Ok(self)
    }

    /// Takes the lock, and leaves the file as it is, or is not.
    pub(super) fn take_place(path: &Path) -> Result<Self> {
        let path = prepare_path(path).map_err(|error| {
            unusable(format!(
                "{} cannot be used as the database: {error}",
                path.display()
            ))
        })?;
        let lock_path = beside(&path, ".lock");
        let lock = match create_for(&path, &lock_path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                private().write(true).open(&lock_path)
            }
            made => made,
        };
        let lock =
            lock.map_err(|error| unusable(format!("{} cannot be opened: {error}", lock_path.display())))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(unusable(format!(
                    "another process uses {} (it holds {}): a SQLite database serves one process; stop the other one, or give this one a database of its own",
                    path.display(),
                    lock_path.display()
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(unusable(format!(
                    "{} cannot be locked: {error}",
                    lock_path.display()
                )));
            }
        }
        Ok(Self { path, lock })
    }

    pub(super) fn identity(&self) -> Result<FileIdentity> {
        FileIdentity::of(&self.path).map_err(|error| self.unreadable(&error))
    }

    /// The database file itself. To close it gives up the locks that this process holds on it.
    pub(super) fn data(&self) -> Result<File> {
        File::open(&self.path).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        unusable(format!("{} cannot be read: {error}", self.path.display()))
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the database lock was not released");
        }
    }
}

fn prepare_path(path: &Path) -> io::Result<PathBuf> {
    if path.exists() {
        return path.canonicalize();
    }
    let Some(name) = path.file_name() else {
        return Err(io::Error::other("it names no file"));
    };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_directory(parent)?;
    Ok(parent.canonicalize()?.join(name))
}

fn create_database(path: &Path) -> Result<()> {
    let cannot = |error: io::Error| unusable(format!("{} cannot be created: {error}", path.display()));
    if exists(path)? {
        return narrow(path);
    }
    create_for(path, path).map_err(cannot)?;
    tracing::info!(path = %path.display(), "there was no database: made a new one");
    sync_directory(path).map_err(cannot)
}

/// Whether the file is there; refuses one that is not when its journal is: what is in a journal is lost when a new
/// database is made beside it.
pub(super) fn exists(path: &Path) -> Result<bool> {
    let journal = beside(path, "-wal");
    if !path.exists() && journal.exists() {
        return Err(unusable(format!(
            "{} is missing but its journal {} is there: put the database back, or move the journal away",
            path.display(),
            journal.display()
        )));
    }
    Ok(path.exists())
}

/// Makes a file (mode 0600) that is not there yet, for the database at `place`: it belongs to whom that belongs, or its folder
/// where there is none. Who administers may be another one (`sudo`) than who starts the server and has to open it.
pub(super) fn create_for(place: &Path, file: &Path) -> io::Result<File> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let owner = fs::metadata(place).or_else(|_| fs::metadata(folder.unwrap_or(Path::new("."))))?;
    let made = private().create_new(true).write(true).open(file)?;
    // The open file: what its name means may be another file by now, in a folder that others can write to.
    if owner.uid() != made.metadata()?.uid()
        && let Err(error) = fchown(&made, Some(owner.uid()), Some(owner.gid()))
    {
        tracing::debug!(file = %file.display(), %error, "this file belongs to whoever made it");
    }
    Ok(made)
}

/// Says why a file cannot be read, of which SQLite says only that it cannot open it. Opens nothing: whoever closes a database
/// file gives up every POSIX lock that its process holds on it.
pub(super) fn check_readable(file: &Path, missing: impl FnOnce() -> String) -> Result<()> {
    let metadata = fs::metadata(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable(missing()),
        io::ErrorKind::PermissionDenied => unusable(format!(
            "{} is in a folder that user {} cannot look into: run this as another user, or put the file elsewhere",
            file.display(),
            own_user(),
        )),
        _ => unusable(format!("{} cannot be read: {error}", file.display())),
    })?;
    if !metadata.is_file() {
        return Err(unusable(format!("{} is not a file", file.display())));
    }
    access(file, Access::READ_OK).map_err(|error| {
        unusable(format!(
            "{} cannot be read: {}; it belongs to user {} (mode {:04o}), and this runs as user {}: run it as the user whose file it is, or `chown` it",
            file.display(),
            io::Error::from(error),
            metadata.uid(),
            metadata.mode() & 0o7777,
            own_user(),
        ))
    })
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A new file survives a power cut only when its directory was synchronised too.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// `doorward.db` + `.lock` = `doorward.db.lock`, + `-wal` = `doorward.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
pub(super) fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
pub(super) fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Takes a database that others may read (restored from a backup, made by hand) back to mode 0600. SQLite
/// gives its journal the mode of the database.
#[cfg(unix)]
fn narrow(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path)
        .map_err(|error| unusable(format!("{} cannot be read: {error}", path.display())))?;
    if !metadata.is_file() {
        return Err(unusable(format!("{} is not a file", path.display())));
    }
    if metadata.permissions().mode() & 0o077 != 0
        && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    {
        tracing::warn!(path = %path.display(), %error, "other users can open the database");
    }
    Ok(())
}

#[cfg(not(unix))]
fn narrow(path: &Path) -> Result<()> {
    if path.is_file() {
        Ok(())
    } else {
        Err(unusable(format!("{} is not a file", path.display())))
    }
}

/// Tells whether the path still names the file that was opened: what is written to a deleted file is gone at
/// the next start, so nothing is answered any more.
pub(super) struct FileIdentity {
    path: PathBuf,
    #[cfg(unix)]
    number: (u64, u64),
}

impl FileIdentity {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            number: number(path)?,
        })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
        })
    }

    #[cfg(unix)]
    pub(super) fn check(&self) -> Result<()> {
        match number(&self.path) {
            Ok(number) if number == self.number => Ok(()),
            _ => Err(StoreError::Unavailable(format!(
                "{} was moved, replaced or removed",
                self.path.display()
            ))),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn check(&self) -> Result<()> {
        if self.path.exists() {
            Ok(())
        } else {
            Err(StoreError::Unavailable(format!(
                "{} was removed",
                self.path.display()
            )))
        }
    }
}

#[cfg(unix)]
fn number(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        let file = |path: &str| Location::File(PathBuf::from(path));
        assert_eq!(
            Location::parse("sqlite://data/doorward.db").unwrap(),
            file("data/doorward.db")
        );
        assert_eq!(
            Location::parse("sqlite:///var/lib/doorward.db").unwrap(),
            file("/var/lib/doorward.db")
        );
        assert_eq!(
            Location::parse("sqlite:doorward.db").unwrap(),
            file("doorward.db")
        );
        assert_eq!(
            Location::parse("data/doorward.db").unwrap(),
            file("data/doorward.db")
        );
        assert_eq!(Location::parse("sqlite::memory:").unwrap(), Location::Memory);
        for wrong in [
            "sqlite:",
            "sqlite://",
            "sqlite://dir/",
            "sqlite://a.db?mode=ro",
            "",
            "postgres://u:secret@h/db",
        ] {
            let error = Location::parse(wrong).unwrap_err();
            assert!(matches!(error, StoreError::Unusable(_)), "{wrong}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
