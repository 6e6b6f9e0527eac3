//! The stages, one after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;

use crate::figures::Figures;
use crate::peers::RunningPeer;
use crate::postgres::Cluster;
use crate::process::{Memory, Process};
use crate::report::{Idle, Report};
use crate::rounds::progress;
use crate::scenario::Scenario;
use crate::server::{Engine, Installation};
use crate::subject::{Role, Subject};
use crate::{Arguments, doorward, floor_server, growth, machine};

/// Before memory is looked at, so that what a start leaves behind is gone.
const SETTLE: Duration = Duration::from_secs(1);
/// What is measured at a part of the highest rate: of the floor, and of Doorward's servers.
const FLOORS: [Scenario; 2] = [Scenario::Constant, Scenario::Sign];
const OPEN: [Scenario; 3] = [
    Scenario::ClientCredentials,
    Scenario::Refresh,
    Scenario::IntrospectionAgain,
];

/// One server of ours that runs, and what it was before the load.
struct Ours {
    engine: Engine,
    _installation: Installation,
    process: Process,
    first_starts: Vec<Duration>,
    later_starts: Vec<Duration>,
    idle: Memory,
}

/// Everything that runs during the rounds.
struct Servers {
    subjects: Vec<Subject>,
    ours: Vec<Ours>,
    _floor: (Process, TempDir),
    _peers: Vec<(Process, TempDir)>,
}

/// Measures everything that was asked for.
pub async fn all(arguments: &Arguments) -> anyhow::Result<Report> {
    let program = program(arguments)?;
    let plan = arguments.plan()?;
    let postgres = arguments.engine.contains(&Engine::Postgres);
    let cluster = postgres.then(Cluster::start).transpose()?.map(Arc::new);
    let version = cluster.as_ref().map(|cluster| cluster.version()).transpose()?;
    let machine = machine::describe(&program, version.as_deref());
    let mut missing = Vec::new();
    let servers = start(arguments, &program, cluster.as_ref(), &mut missing).await?;
    let (limits, measurements) = plan
        .run(&servers.subjects, cluster.as_ref(), &mut missing)
        .await?;
    let figures = Figures { limits, measurements };
    let open = if arguments.part > 0.0 {
        let wanted = open(&servers.subjects, &plan.scenarios);
        plan.at_part(&wanted, arguments.part).await?
    } else {
        Vec::new()
    };
    let idle = stop(servers).await?;
    let mut growth = Vec::new();
    for &engine in arguments.engine.iter().filter(|_| !arguments.grants.is_empty()) {
        let cluster = cluster.as_ref().filter(|_| engine == Engine::Postgres);
        // They may be more than the disk has room for.
        match growth::measure(&plan, &program, &arguments.log_level, cluster, &arguments.grants).await {
            Ok(sizes) => growth.push((engine, sizes)),
            Err(error) => missing.push((format!("growth, {}", engine.subject()), format!("{error:#}"))),
        }
    }
    Ok(Report {
        machine,
        idle,
        figures,
        open,
        part: arguments.part,
        growth,
        missing,
    })
}

fn program(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let program = match arguments.server.clone() {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("doorward"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it first, or name it with --server",
        program.display()
    );
    Ok(program)
}

/// All of them at once. A peer that does not start is left out and named.
async fn start(
    arguments: &Arguments,
    program: &Path,
    cluster: Option<&Arc<Cluster>>,
    missing: &mut Vec<(String, String)>,
) -> anyhow::Result<Servers> {
    let (floor, world, folder) = floor_server::start().await?;
    let subject = |name, role, world, process: &Process, database| Subject {
        name,
        role,
        world: Arc::new(world),
        process: process.id,
        database,
    };
    let mut subjects = vec![subject("axum", Role::Floor, world, &floor, None)];
    let mut ours = Vec::new();
    for &engine in &arguments.engine {
        progress(&format!("starting {}", engine.subject()));
        let cluster = cluster.filter(|_| engine == Engine::Postgres);
        let (first_starts, later_starts) = time_starts(arguments, program, cluster).await?;
        let installation = Installation::new(program, &arguments.log_level, cluster)?;
        let process = installation.start().await?;
        tokio::time::sleep(SETTLE).await;
        let idle = process.memory()?;
        let world = doorward::set_up(&installation, arguments.people).await?;
        subjects.push(subject(
            engine.subject(),
            Role::Ours,
            world,
            &process,
            cluster.cloned(),
        ));
        ours.push(Ours {
            engine,
            _installation: installation,
            process,
            first_starts,
            later_starts,
            idle,
        });
    }
    let mut peers = Vec::new();
    for peer in &arguments.peer {
        progress(&format!("starting {}", peer.name()));
        match peer.start().await {
            Ok(RunningPeer {
                process,
                world,
                folder,
            }) => {
                subjects.push(subject(peer.name(), Role::Peer, world, &process, None));
                peers.push((process, folder));
            }
            Err(error) => missing.push((peer.name().to_owned(), format!("{error:#}"))),
        }
    }
    Ok(Servers {
        subjects,
        ours,
        _floor: (floor, folder),
        _peers: peers,
    })
}

/// Ends Doorward's servers, after a look at what they hold.
async fn stop(servers: Servers) -> anyhow::Result<Vec<Idle>> {
    tokio::time::sleep(SETTLE).await;
    let mut all = Vec::new();
    for ours in servers.ours {
        let loaded = ours.process.memory()?;
        ours.process.stop().await?;
        all.push(Idle {
            engine: ours.engine,
            first_starts: ours.first_starts,
            later_starts: ours.later_starts,
            before: ours.idle,
            loaded,
        });
    }
    Ok(all)
}

/// Starts with a new database each, and as many with one that is there.
async fn time_starts(
    arguments: &Arguments,
    program: &Path,
    cluster: Option<&Arc<Cluster>>,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..arguments.starts {
        let installation = Installation::new(program, &arguments.log_level, cluster)?;
        for times in [&mut first, &mut later] {
            let process = installation.start().await?;
            times.push(process.ready_after);
            process.stop().await?;
        }
    }
    Ok((first, later))
}

/// What is measured in an open loop, the floor first: how long requests wait is the machine's as well, and the client's.
fn open<'s>(subjects: &'s [Subject], wanted: &[Scenario]) -> Vec<(&'s Subject, Scenario)> {
    let of = |role, scenarios: &'static [Scenario]| {
        let subjects = subjects.iter().filter(move |subject| subject.role == role);
        subjects.flat_map(move |subject| scenarios.iter().map(move |scenario| (subject, *scenario)))
    };
    of(Role::Floor, &FLOORS)
        .chain(of(Role::Ours, &OPEN))
        .filter(|(_, scenario)| wanted.contains(scenario))
        .collect()
}
