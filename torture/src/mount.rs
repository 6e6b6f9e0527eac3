//! Disks of our own, which can be filled and stopped. Needs the rights of root.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use tempfile::TempDir;

use crate::node::run;

/// The system does not let this program do what the scenario needs.
#[derive(Debug)]
pub struct NotHere(pub String);

impl fmt::Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHere {}

fn not_here(error: &anyhow::Error) -> NotHere {
    NotHere(format!(
        "a file system cannot be mounted, which takes the rights of root: {error:#}"
    ))
}

/// A file system that goes with this value.
pub struct Mount {
    folder: TempDir,
    mounted: bool,
}

impl Mount {
    /// A small one, in memory.
    pub fn small(megabytes: u32) -> anyhow::Result<Self> {
        let mut mount = Self::nothing()?;
        let size = format!("size={megabytes}m,mode=0777");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(mount.path());
        run(&mut command).map_err(|error| not_here(&error))?;
        mount.mounted = true;
        Ok(mount)
    }

    /// One that can be stopped and lose its power: ext4 in a file.
    pub fn stoppable(megabytes: u64) -> anyhow::Result<Self> {
        let mut mount = Self::nothing()?;
        fs::File::create(mount.image())?.set_len(megabytes << 20)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(mount.image()))?;
        mount.attach()?;
        run(Command::new("chmod").arg("0777").arg(mount.path()))?;
        Ok(mount)
    }

    fn attach(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("mount");
        command.args(["-o", "loop"]).arg(self.image()).arg(self.path());
        run(&mut command).map_err(|error| not_here(&error))?;
        self.mounted = true;
        Ok(())
    }

    /// Everything that was written until now reaches the disk.
    pub fn sync(&self) -> anyhow::Result<()> {
        run(Command::new("sync").arg("-f").arg(self.path()))
    }

    /// What was written and not yet forced to the disk is gone, as when the power fails. Whoever wrote to a disk from
    /// [`Self::stoppable`] has been killed before.
    pub fn lose_power(&mut self) -> anyhow::Result<()> {
        // The image holds what has reached the disk; the rest is still in the system's memory.
        let rescued = self.image().with_extension("rescued");
        run(Command::new("cp")
            .arg("--sparse=always")
            .arg(self.image())
            .arg(&rescued))?;
        run(Command::new("umount").arg(self.path()))?;
        self.mounted = false;
        fs::rename(rescued, self.image())?;
        self.attach()
    }

    fn nothing() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("dw-disk-").tempdir()?;
        run(Command::new("chmod").arg("0755").arg(folder.path()))?;
        fs::create_dir(folder.path().join("disk"))?;
        Ok(Self {
            folder,
            mounted: false,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Writes until there is no room left.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = fs::File::create(self.ballast())?;
        for size in [64 * 1024, 512] {
            let block = vec![0; size];
            while ballast.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    pub fn clear(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    /// No write ends until [`Self::thaw`].
    pub fn freeze(&self) -> anyhow::Result<()> {
        freeze("-f", &self.path())
    }

    /// Writes go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        freeze("-u", &self.path())
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

fn freeze(what: &str, path: &Path) -> anyhow::Result<()> {
    run(Command::new("fsfreeze").arg(what).arg(path))
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // Not frozen any more in most cases; then there is nothing to thaw.
            let _ = self.thaw();
            let _ = run(Command::new("umount").arg("-l").arg(self.path()));
        }
    }
}
