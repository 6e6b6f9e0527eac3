//! How the cost of the store's operations grows with what is stored: fills databases with people, clients, grants
//! and tokens, all of them at hand at the same time, and measures the hot operations in interleaved rounds.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints figures"
)]

mod measure;
mod operations;
mod postgres;
mod report;
mod rows;
mod sqlite;
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::{Parser, ValueEnum as _};
use tokio::time::Instant;

use crate::operations::{Operation, Scene};
use crate::postgres::Database;
use crate::report::{Curve, Size};
use crate::sqlite::File;
use crate::world::World;

/// Measures the store at several sizes. Needs about 1.5 KB of disk a grant.
#[derive(Parser)]
struct Arguments {
    /// How many grants.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    grants: Vec<u64>,
    /// A database of a PostgreSQL server on this machine, by whose superuser others are made beside it; without it: SQLite.
    #[arg(long)]
    postgres: Option<String>,
    /// Where SQLite's files are made.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Rounds; each measures every operation at every size.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Operations of each kind in a round.
    #[arg(long, default_value_t = 2000)]
    times: u64,
    /// Callers at the same time.
    #[arg(long, default_value_t = 16)]
    callers: u64,
    /// Kinds of operations; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Operation>,
    /// Leaves the databases where they are.
    #[arg(long)]
    keep: bool,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

enum Place {
    Sqlite(File),
    Postgres(Database),
}

impl Place {
    async fn processes(&self) -> Result<Vec<u32>> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(database) => database.processes().await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let operations = match arguments.only.as_slice() {
        [] => Operation::value_variants().to_vec(),
        only => only.to_vec(),
    };
    let mut filled = Vec::new();
    for grants in &arguments.grants {
        filled.push(fill(&arguments, *grants, &operations).await?);
    }
    for round in 0..=arguments.rounds {
        for (place, scene, size) in &mut filled {
            for (operation, rounds) in &mut size.rounds {
                let times = match operation {
                    Operation::Sweep => 1,
                    _ => arguments.times,
                };
                let processes = place.processes().await?;
                let took = measure::round(scene, *operation, times, arguments.callers, &processes).await?;
                // The first one warms up.
                if round > 0 {
                    rounds.push(took);
                }
            }
        }
        eprintln!("round {round} of {}", arguments.rounds);
    }
    let engine = arguments.postgres.as_ref().map_or("SQLite", |_| "PostgreSQL");
    let mut sizes = Vec::new();
    for (place, scene, size) in filled {
        scene.store.close().await?;
        match place {
            _ if arguments.keep => {}
            Place::Sqlite(file) => file.remove(),
            Place::Postgres(database) => database.remove().await?,
        }
        sizes.push(size);
    }
    let curve = Curve { engine, sizes };
    if arguments.json {
        println!("{:#}", curve.json(&operations));
    } else {
        curve.print(&operations);
    }
    Ok(())
}

async fn fill(
    arguments: &Arguments,
    grants: u64,
    operations: &[Operation],
) -> Result<(Place, Arc<Scene>, Size)> {
    let started = Instant::now();
    let world = World::of(grants);
    let (place, store, bytes) = match &arguments.postgres {
        None => {
            let file = File::fill(&arguments.folder, &world).await?;
            let (store, bytes) = (file.open()?, file.bytes()?);
            (Place::Sqlite(file), Box::new(store) as Box<_>, bytes)
        }
        Some(server) => {
            let database = Database::fill(server, &world).await?;
            let (store, bytes) = (database.open().await?, database.bytes().await?);
            (Place::Postgres(database), Box::new(store) as Box<_>, bytes)
        }
    };
    let filled_in = started.elapsed().as_secs_f64();
    eprintln!("{grants} grants: {bytes} bytes, filled in {filled_in:.0} s");
    let rounds = operations
        .iter()
        .map(|operation| (*operation, Vec::new()))
        .collect();
    let size = Size {
        grants,
        bytes,
        filled_in,
        rounds,
    };
    Ok((place, Arc::new(Scene::new(world, store)), size))
}
