//! The wall clock jumps, as after a repair of the machine's time: libfaketime, which reads the offset from a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{Plan, settle};
use crate::ledger::Tally;
use crate::load::Rules;
use crate::node::Node;
use crate::site::{Engine, Site};

/// Offsets in seconds, one after the other; the last is that of the start.
const JUMPS: [i32; 6] = [3600, 0, -3600, 0, 3600, -3600];

pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    jump(plan, Engine::Sqlite, 1).await
}

/// Only one node's clock jumps; the other one's does not.
pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    jump(plan, Engine::Postgres, 2).await
}

async fn jump(mut plan: Plan, engine: Engine, nodes: usize) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, engine)?;
    let clock = Clock::new(&site)?;
    for number in 0..nodes {
        let mut node = site.prepare()?;
        if number == 0 {
            clock.give_to(&mut node)?;
        }
        node.start().await?;
        site.nodes.push(node);
    }
    let rules = Rules {
        clock_jumps: true,
        ..Rules::default()
    };
    let load = plan.load(&site, 12, rules).await?;
    for offset in JUMPS {
        clock.set(offset)?;
        load.progress(200, Duration::from_secs(60)).await?;
        plan.some_time(1000, 3000).await;
    }
    clock.set(0)?;
    settle(load, &site).await
}

struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn new(site: &Site) -> anyhow::Result<Self> {
        let clock = Self {
            file: site.folder().join("clock"),
            library: library().context("libfaketime is not installed")?,
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// So many seconds from the true time. Replaced, never half written.
    fn set(&self, offset: i32) -> anyhow::Result<()> {
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, format!("{offset:+}\n"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }

    fn give_to(&self, node: &mut Node) -> anyhow::Result<()> {
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
