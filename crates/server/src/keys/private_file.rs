//! Files that hold a secret.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, hard_link, metadata, read_to_string, remove_file};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::random::Random;

/// Writes a file that only its owner can read (mode 0600) and that did not exist: whole and on disk when this
/// returns, or not at all, also when the process or the machine dies in the midst of it (on a file system without hard
/// links only when it does not). Folders are made as needed.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when the file exists; else what the system says.
pub fn write_private_file(path: &Path, text: &str, random: &dyn Random) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = unfinished_name(path, random);
    write_whole(&unfinished, |file| file.write_all(text.as_bytes()))?;
    let published = publish(&unfinished, path, text);
    let removed = remove_file(&unfinished);
    published?;
    removed?;
    // The name is on disk only when its folder is.
    File::open(folder)?.sync_all()
}

/// Whether more than this program can read a file, or write it. Where somebody else owns it, its group may read it: so a
/// container's platform or systemd hands over secrets (0440).
pub(crate) fn is_open_to_others(file: &Metadata) -> bool {
    let own = file.uid() == rustix::process::geteuid().as_raw();
    is_open(file.mode(), own)
}

/// The text of a file that holds a secret; `None` when it [is open to others](is_open_to_others).
///
/// # Errors
/// What the system says.
pub(crate) fn read_private_file(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = metadata(path)?;
    if file.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, NOT_A_FILE));
    }
    if is_open_to_others(&file) {
        return Ok(None);
    }
    read_to_string(path).map(Zeroizing::new).map(Some)
}

/// What is said of a folder.
const NOT_A_FILE: &str = "it is not a file but a folder (a container platform makes one where the file of a mount is missing); remove the folder, and put the file there";

const fn is_open(mode: u32, own: bool) -> bool {
    let denied = if own { 0o077 } else { 0o037 };
    mode & denied != 0
}

/// Beside the file, so that it can become the file.
fn unfinished_name(path: &Path, random: &dyn Random) -> PathBuf {
    let number = u64::from_be_bytes(random.bytes());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number:016x}.unfinished"));
    path.with_file_name(name)
}

fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a secret would keep the next attempt from writing a whole one.
        let _ = remove_file(path);
    }
    written
}

/// Gives the finished file its name; unlike a rename, a link replaces nothing.
fn publish(unfinished: &Path, path: &Path, text: &str) -> io::Result<()> {
    match hard_link(unfinished, path) {
        // A file system without links.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            write_whole(path, |file| file.write_all(text.as_bytes()))
        }
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{metadata, read_dir, read_to_string};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::random::OsRandom;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        write_private_file(path, text, &OsRandom::default())
    }

    #[test]
    fn a_group_may_read_what_somebody_else_hands_over() {
        for (mode, to_its_owner, to_another) in [
            (0o100_600, false, false),
            (0o100_400, false, false),
            (0o100_440, true, false),
            (0o100_460, true, true),
            (0o100_444, true, true),
            (0o100_602, true, true),
        ] {
            assert_eq!(
                (is_open(mode, true), is_open(mode, false)),
                (to_its_owner, to_another),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn the_file_is_private_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/secret");
        write(&path, "x\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "x\n");
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_replaced_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, "first").unwrap();
        assert_eq!(
            write(&path, "second").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(read_to_string(&path).unwrap(), "first");
        assert_eq!(read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Whatever its mode: nothing is told of `chmod`.
    #[test]
    fn a_folder_in_the_place_of_a_secret_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o700, 0o755] {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_private_file(folder.path()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::IsADirectory);
            assert!(refused.to_string().contains("is not a file"), "{refused}");
        }
    }

    #[test]
    fn half_of_a_secret_is_not_left_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let full = |file: &mut File| {
            file.write_all(b"half of")?;
            Err(ErrorKind::StorageFull.into())
        };
        let failed = write_whole(&path, full).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::StorageFull);
        assert!(!path.exists());
        // One that is there is not touched.
        write(&path, "first").unwrap();
        let refused = write_whole(&path, full).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn of_several_writers_one_wins_and_its_text_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let texts: Vec<String> = (0..8).map(|number| number.to_string().repeat(4096)).collect();
        let results: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = texts
                .iter()
                .map(|text| scope.spawn(|| write(&path, text)))
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(texts.contains(&read_to_string(&path).unwrap()));
        assert_eq!(read_dir(folder.path()).unwrap().count(), 1);
    }
}
