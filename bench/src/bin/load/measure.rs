//! Load in a closed loop: each of so many connections sends its next request when it has the answer to the last. And in
//! an open one: requests come when they come, and wait if the server is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http::Connection;
use crate::latency::Latency;
use crate::scenario::Scenario;
use crate::subject::{Role, Subject, Used};

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests, at most.
    pub requests: usize,
    /// Time in which requests are begun, at most.
    pub time: Duration,
}

/// One run of one kind of request.
#[derive(Debug, Clone)]
pub struct Measurement {
    pub subject: &'static str,
    pub role: Role,
    pub scenario: Scenario,
    pub concurrency: usize,
    pub round: usize,
    pub wall: Duration,
    pub used: Used,
    /// Requests that were answered as they should be.
    pub good: usize,
    /// Of those.
    pub latency: Latency,
    pub errors: usize,
    pub first_error: Option<String>,
}

impl Measurement {
    /// Good answers a second.
    pub fn per_second(&self) -> f64 {
        self.count() / self.wall.as_secs_f64()
    }

    /// Good answers a second of the server's processor time.
    pub fn per_cpu_second(&self) -> f64 {
        // A tick of the clock, if it was less.
        self.count() / self.used.server.as_secs_f64().max(0.01)
    }

    /// The server's microseconds of processor time for one good answer.
    pub fn cpu_us(&self) -> f64 {
        1e6 / self.per_cpu_second()
    }

    /// Those of the database.
    pub fn database_us(&self) -> Option<f64> {
        Some(self.used.database?.as_secs_f64() * 1e6 / self.count())
    }

    /// Those of the server and of its database, if that has processes of its own.
    pub fn all_cpu_us(&self) -> f64 {
        self.cpu_us() + self.database_us().unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn count(&self) -> f64 {
        self.good as f64
    }
}

#[derive(Default)]
struct Log {
    latencies: Vec<Duration>,
    errors: usize,
    first_error: Option<String>,
}

impl Log {
    fn add(&mut self, since: Instant, outcome: anyhow::Result<()>) -> bool {
        match outcome {
            Ok(()) => self.latencies.push(since.elapsed()),
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
                return false;
            }
        }
        true
    }

    fn extend(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// Sends requests over `concurrency` connections, each after the answer to the last.
pub async fn closed_loop(
    subject: &Subject,
    scenario: Scenario,
    concurrency: usize,
    limits: Limits,
    round: usize,
) -> anyhow::Result<Measurement> {
    let connections = connect(subject, concurrency).await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let (used, started) = (subject.used()?, Instant::now());
    for connection in connections {
        let (subject, sent) = (subject.clone(), Arc::clone(&sent));
        workers.spawn(async move {
            let next =
                || sent.fetch_add(1, Ordering::Relaxed) < limits.requests && started.elapsed() < limits.time;
            let mut worker = Worker::new(subject, scenario, connection);
            while next() && worker.send(Instant::now()).await {}
            worker.log
        });
    }
    let log = joined(workers).await?;
    let (wall, used) = (started.elapsed(), subject.used()?.since(used));
    Ok(measurement(
        subject,
        scenario,
        concurrency,
        round,
        log,
        wall,
        used,
    ))
}

/// Sends `rate` requests a second, at times that do not depend on the answers (exponential gaps), over as many
/// connections. The time of a request runs from when it was due.
pub async fn open_loop(
    subject: &Subject,
    scenario: Scenario,
    concurrency: usize,
    rate: f64,
    limits: Limits,
    round: usize,
) -> anyhow::Result<Measurement> {
    ensure!(rate > 0.0, "no rate to send at");
    let connections = connect(subject, concurrency).await?;
    let (due, next) = mpsc::unbounded_channel();
    let next = Arc::new(Mutex::new(next));
    let mut workers = JoinSet::new();
    let (used, started) = (subject.used()?, Instant::now());
    for connection in connections {
        let (subject, next) = (subject.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut worker = Worker::new(subject, scenario, connection);
            loop {
                let Some(since) = next.lock().await.recv().await else {
                    break;
                };
                if !worker.send(since).await {
                    break;
                }
            }
            worker.log
        });
    }
    // A thread of its own: the timer of the runtime has a grain of a millisecond.
    let pacing = std::thread::spawn(move || pace(rate, limits, started, &due));
    let log = joined(workers).await?;
    let (wall, used) = (started.elapsed(), subject.used()?.since(used));
    ensure!(pacing.join().is_ok(), "the pacing thread failed");
    Ok(measurement(
        subject,
        scenario,
        concurrency,
        round,
        log,
        wall,
        used,
    ))
}

fn pace(rate: f64, limits: Limits, started: Instant, due: &mpsc::UnboundedSender<Instant>) {
    let mut at = Duration::ZERO;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..limits.requests {
        at += Duration::from_secs_f64(-random.between_0_and_1().ln() / rate);
        if at > limits.time {
            break;
        }
        std::thread::sleep(at.saturating_sub(started.elapsed()));
        if due.send(started + at).is_err() {
            break;
        }
    }
}

/// Good enough for gaps (xorshift64*).
struct Random(u64);

impl Random {
    /// Neither of the two.
    fn between_0_and_1(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let upper = u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or_default();
        (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }
}

async fn connect(subject: &Subject, concurrency: usize) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        let mut connection = Connection::open(subject.world.address).await?;
        if let Some(health) = subject.world.offers.health {
            connection.get(health, None).await?;
        }
        connections.push(connection);
    }
    Ok(connections)
}

/// One connection and what came of it.
struct Worker {
    subject: Subject,
    scenario: Scenario,
    connection: Connection,
    log: Log,
}

impl Worker {
    fn new(subject: Subject, scenario: Scenario, connection: Connection) -> Self {
        Self {
            subject,
            scenario,
            connection,
            log: Log::default(),
        }
    }

    /// Sends a request. `false` when there is no use in another one.
    async fn send(&mut self, since: Instant) -> bool {
        let outcome = self
            .scenario
            .request(&self.subject.world, &mut self.connection)
            .await;
        if self.log.add(since, outcome) {
            return true;
        }
        match Connection::open(self.subject.world.address).await {
            Ok(fresh) => self.connection = fresh,
            Err(_) => return false,
        }
        true
    }
}

async fn joined(mut workers: JoinSet<Log>) -> anyhow::Result<Log> {
    let mut all = Log::default();
    while let Some(log) = workers.join_next().await {
        all.extend(log?);
    }
    Ok(all)
}

fn measurement(
    subject: &Subject,
    scenario: Scenario,
    concurrency: usize,
    round: usize,
    log: Log,
    wall: Duration,
    used: Used,
) -> Measurement {
    Measurement {
        subject: subject.name,
        role: subject.role,
        scenario,
        concurrency,
        round,
        wall,
        used,
        good: log.latencies.len(),
        latency: Latency::of(log.latencies),
        errors: log.errors,
        first_error: log.first_error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_that_was_asked_for() {
        let mut random = Random(1);
        let sum: f64 = (0..10_000).map(|_| -random.between_0_and_1().ln()).sum();
        assert!((0.95..1.05).contains(&(sum / 10_000.0)), "{sum}");
    }

    #[test]
    fn rates_are_of_good_answers() {
        let used = Used {
            server: Duration::from_millis(500),
            database: Some(Duration::from_millis(250)),
            client: Duration::ZERO,
        };
        let measured = Measurement {
            subject: "it",
            role: Role::Ours,
            scenario: Scenario::Refresh,
            concurrency: 1,
            round: 1,
            wall: Duration::from_secs(2),
            used,
            good: 1000,
            latency: Latency::default(),
            errors: 3,
            first_error: None,
        };
        assert_eq!(
            (
                measured.per_second(),
                measured.per_cpu_second(),
                measured.cpu_us(),
                measured.database_us()
            ),
            (500.0, 2000.0, 500.0, Some(250.0))
        );
    }
}
