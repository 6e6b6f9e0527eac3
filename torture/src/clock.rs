//! A wall clock that nodes can be given: libfaketime, which reads the offset from a file.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::node::Node;
use crate::site::Site;

/// The true time, in seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "nodes run by the system's clock, and tokens expire by it"
)]
pub fn true_time() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// A clock that can be set.
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A right one.
    pub fn new(site: &Site) -> anyhow::Result<Self> {
        let clock = Self {
            file: site.folder().join("clock"),
            library: library().context("libfaketime is not installed")?,
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// So many seconds from the true time. Replaced, never half written.
    pub fn set(&self, offset: i64) -> anyhow::Result<()> {
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, format!("{offset:+}\n"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }

    /// From its next start on the node runs by it.
    pub fn give_to(&self, node: &mut Node) -> anyhow::Result<()> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
        node.set("LD_PRELOAD", &text(&self.library)?);
        node.set("FAKETIME_TIMESTAMP_FILE", &text(&self.file)?);
        node.set("FAKETIME_NO_CACHE", "1");
        // As a true clock that is set: what measures spans of time goes on.
        node.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Ok(())
    }
}

fn library() -> Option<PathBuf> {
    let homes = std::fs::read_dir("/usr/lib").ok()?.flatten();
    homes
        .map(|home| home.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
}
