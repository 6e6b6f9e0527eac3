//! A closed loop: each of so many connections sends its next request when it has the answer to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_bench::cpu;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http::Connection;
use crate::scenario::Scenario;
use crate::server::Server;
use crate::world::World;

/// One run of one kind of request.
#[derive(Debug, Clone)]
pub struct Measurement {
    pub scenario: Scenario,
    pub concurrency: usize,
    pub wall: Duration,
    /// Processor time of the server.
    pub server_cpu: Duration,
    /// Processor time of this program, which shares the machine.
    pub client_cpu: Duration,
    /// Of the requests that were answered as they should be, sorted.
    pub latencies: Vec<Duration>,
    pub errors: usize,
    pub first_error: Option<String>,
}

impl Measurement {
    /// Good answers a second.
    pub fn per_second(&self) -> f64 {
        self.good() / self.wall.as_secs_f64()
    }

    /// Good answers a second of the server's processor time.
    pub fn per_cpu_second(&self) -> f64 {
        self.good() / self.server_cpu.as_secs_f64().max(0.01)
    }

    /// The latency that this part of the requests does not exceed, in milliseconds.
    pub fn percentile(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index, not negative"
        )]
        let rank = (self.good() * part).ceil() as usize;
        let latency = self
            .latencies
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        latency.as_secs_f64() * 1e3
    }

    fn good(&self) -> f64 {
        u32::try_from(self.latencies.len()).map_or(f64::INFINITY, f64::from)
    }
}

#[derive(Default)]
struct Log {
    latencies: Vec<Duration>,
    errors: usize,
    first_error: Option<String>,
}

/// Sends `requests` requests over `concurrency` connections.
pub async fn run(
    world: &Arc<World>,
    server: &Server,
    scenario: Scenario,
    concurrency: usize,
    requests: usize,
) -> anyhow::Result<Measurement> {
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        let mut connection = Connection::open(world.public).await?;
        connection.get("/livez", None).await?;
        connections.push(connection);
    }
    let sent = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let (server_cpu, client_cpu, started) = (server.cpu()?, cpu::of_this_thread(), Instant::now());
    for connection in connections {
        workers.spawn(work(
            Arc::clone(world),
            connection,
            scenario,
            Arc::clone(&sent),
            requests,
        ));
    }
    let mut all = Log::default();
    while let Some(log) = workers.join_next().await {
        let log = log?;
        all.latencies.extend(log.latencies);
        all.errors += log.errors;
        all.first_error = all.first_error.or(log.first_error);
    }
    let wall = started.elapsed();
    let (server_cpu, client_cpu) = (
        server.cpu()?.saturating_sub(server_cpu),
        cpu::of_this_thread().saturating_sub(client_cpu),
    );
    all.latencies.sort_unstable();
    let Log {
        latencies,
        errors,
        first_error,
    } = all;
    Ok(Measurement {
        scenario,
        concurrency,
        wall,
        server_cpu,
        client_cpu,
        latencies,
        errors,
        first_error,
    })
}

async fn work(
    world: Arc<World>,
    mut connection: Connection,
    scenario: Scenario,
    sent: Arc<AtomicUsize>,
    requests: usize,
) -> Log {
    let mut log = Log::default();
    while sent.fetch_add(1, Ordering::Relaxed) < requests {
        let started = Instant::now();
        match scenario.request(&world, &mut connection).await {
            Ok(()) => log.latencies.push(started.elapsed()),
            Err(error) => {
                log.errors += 1;
                log.first_error.get_or_insert_with(|| format!("{error:#}"));
                match Connection::open(world.public).await {
                    Ok(fresh) => connection = fresh,
                    Err(_) => break,
                }
            }
        }
    }
    log
}
