//! An operation again and again by several callers, in processor time and in wall time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use doorward_bench::cpu::Threads;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::operations::{Operation, Scene};

/// What one round of one operation took.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Processor time of this program for one operation, in microseconds.
    pub program: f64,
    /// The same of the database's processes.
    pub database: f64,
    pub p50: f64,
    pub p99: f64,
}

/// The processor time of several processes.
struct Processes(Vec<(u32, Threads)>);

impl Processes {
    fn of(ids: &[u32]) -> Result<Self> {
        let of_one = |id: &u32| Ok((*id, Threads::of_process(*id)?));
        Ok(Self(ids.iter().map(of_one).collect::<Result<_>>()?))
    }

    fn since(&self, earlier: &Self) -> Duration {
        let of_one = |((_, now), (_, before)): (&(u32, Threads), &(u32, Threads))| now.since(before);
        self.0.iter().zip(&earlier.0).map(of_one).sum()
    }
}

pub async fn round(
    scene: &Arc<Scene>,
    operation: Operation,
    times: u64,
    callers: u64,
    database: &[u32],
) -> Result<Round> {
    let this = [std::process::id()];
    let before = (Processes::of(&this)?, Processes::of(database)?);
    let left = Arc::new(AtomicU64::new(times));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (scene, left) = (Arc::clone(scene), Arc::clone(&left));
        tasks.spawn(async move {
            let (mut done, mut walls) = (0, Vec::new());
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let started = Instant::now();
                done += scene.once(operation).await?;
                walls.push(started.elapsed());
            }
            Ok::<_, anyhow::Error>((done, walls))
        });
    }
    let (mut done, mut walls) = (0, Vec::new());
    for outcome in tasks.join_all().await {
        let (of_caller, of_walls) = outcome?;
        done += of_caller;
        walls.extend(of_walls);
    }
    let (program, database) = (
        Processes::of(&this)?.since(&before.0),
        Processes::of(database)?.since(&before.1),
    );
    walls.sort_unstable();
    Ok(Round {
        program: each(program, done),
        database: each(database, done),
        p50: percentile(&walls, 50),
        p99: percentile(&walls, 99),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / (count.max(1) as f64)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |wall| wall.as_secs_f64() * 1e6)
}
