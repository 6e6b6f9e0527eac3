//! Clients in a closed loop that go on whatever happens, and remember what they were told.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::balancer::{Answer, Ask, Balancer, Failure};
use crate::clock::{Clock, true_time};
use crate::ledger::{Once, Story, Tally, Violation};
use crate::random::Random;
use crate::site::Site;
use crate::walk::Walker;
use crate::world::{World, claims};

/// How long a client goes on asking before that is a violation: longer than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(150);
/// Violations that are told in full.
const TOLD: usize = 5;

/// What all clients of a run share.
pub struct Shared {
    pub balancer: Balancer,
    pub world: World,
    pub rules: Rules,
    began: Instant,
    stop: AtomicBool,
    answered: AtomicU64,
    unavailable: AtomicU64,
    flows: AtomicU64,
    offset: AtomicI64,
    jumps: AtomicU64,
    /// How far the first node's clock is ahead.
    first_clock: AtomicI64,
    once: Mutex<Once>,
    violations: Mutex<Vec<String>>,
    violated: AtomicU64,
}

/// Kinds of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grants {
    /// By a public client's codes alone.
    Codes,
    /// By codes, and by what a client or an identity provider signs: proofs and assertions, each at a time of its own.
    Signed,
    /// Of every kind.
    Every,
}

/// The clocks of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// The same, if they are set all at once; what waits at that moment may have expired.
    Alike,
    /// The first node's may be another than the next one's: what the one gave, or a client signed, may be too old for the other.
    Different,
}

/// What a fault allows.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What the nodes' clocks say.
    pub clocks: Clocks,
    /// How clients come to tokens.
    pub grants: Grants,
    /// How many grants a client leaves alive to come back to; the older ones are checked and let go.
    pub kept: usize,
    /// Of a hundred grants, how many are walked to their revocation at once.
    pub complete: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            clocks: Clocks::Alike,
            grants: Grants::Codes,
            kept: 200,
            complete: 40,
        }
    }
}

impl Rules {
    /// Grants of every kind.
    pub fn every_grant() -> Self {
        Self {
            grants: Grants::Every,
            ..Self::default()
        }
    }
}

/// A running load.
pub struct Load {
    pub shared: Arc<Shared>,
    walkers: Vec<JoinHandle<Walker>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: Tally,
    /// Grants and programs that were held against the server at the end.
    pub verified: usize,
}

impl Load {
    /// Sets the site up and sends so many clients.
    pub async fn begin(site: &Site, clients: usize, seed: u64, rules: Rules) -> anyhow::Result<Self> {
        let balancer = site.balancer();
        let world = World::set_up(site, &balancer, clients.min(8)).await?;
        let shared = Arc::new(Shared {
            balancer,
            world,
            rules,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            flows: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            jumps: AtomicU64::new(0),
            first_clock: AtomicI64::new(0),
            once: Mutex::default(),
            violations: Mutex::default(),
            violated: AtomicU64::new(0),
        });
        let walkers = (0..clients)
            .map(|number| {
                let random = Random::new(seed, u64::try_from(number).unwrap_or_default() + 1);
                let walker = Walker::new(Arc::clone(&shared), number, random);
                tokio::spawn(walker.until_stopped())
            })
            .collect();
        Ok(Self { shared, walkers })
    }

    /// Requests that were answered until now.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Requests that were answered with 503 until now.
    pub fn unavailable(&self) -> u64 {
        self.shared.unavailable.load(Ordering::Relaxed)
    }

    /// Complete flows until now.
    pub fn flows(&self) -> u64 {
        self.shared.flows.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered.
    pub async fn progress(&self, more: u64, within: Duration) -> anyhow::Result<()> {
        let (from, began) = (self.answered(), Instant::now());
        while self.answered() < from + more {
            ensure!(
                began.elapsed() < within,
                "only {} requests were answered in {} s",
                self.answered() - from,
                within.as_secs()
            );
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends the load, and holds the server to all that it answered.
    pub async fn verify(self) -> anyhow::Result<Outcome> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut walkers = Vec::new();
        for walker in self.walkers {
            walkers.push(walker.await?);
        }
        let checks: Vec<_> = walkers
            .into_iter()
            .map(|mut walker| {
                tokio::spawn(async move {
                    let verified = walker.verify_all().await;
                    (walker, verified)
                })
            })
            .collect();
        let mut outcome = Outcome::default();
        for check in checks {
            let (walker, verified) = check.await?;
            outcome.verified += verified;
            outcome.tally.add(&walker.tally);
        }
        let violated = self.shared.violated.load(Ordering::Relaxed);
        let violations = self
            .shared
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(violated == 0, "{violated} violations:\n{}", violations.join("\n"));
        Ok(outcome)
    }
}

impl Shared {
    /// Whether the clients are to come to an end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How often a clock was set, counted before and after each time: odd while one is being set.
    pub fn jumps(&self) -> u64 {
        self.jumps.load(Ordering::Relaxed)
    }

    /// Whether a code may be too old for a node, though it was asked for after so many [`jumps`](Self::jumps).
    pub fn may_be_of_another_time(&self, jumps: u64) -> bool {
        self.rules.clocks == Clocks::Different || self.has_jumped(jumps)
    }

    /// Whether a clock was set, or was being set, since there were so many [`jumps`](Self::jumps).
    fn has_jumped(&self, jumps: u64) -> bool {
        !jumps.is_multiple_of(2) || self.jumps() != jumps
    }

    /// Whether what was signed at a time so far ahead, after so many [`jumps`](Self::jumps), may be too old or too new for
    /// this node.
    pub fn is_untimely(&self, ahead: i64, node: usize, jumps: u64) -> bool {
        let first = self.first_clock.load(Ordering::Relaxed);
        let different = self.rules.clocks == Clocks::Different;
        let clock = if different && node > 0 { 0 } else { first };
        self.has_jumped(jumps) || clock != ahead
    }

    /// How far the clock of a node is ahead of the true time, in seconds.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Sets the clock of the first node, or of all.
    pub fn set_clock(&self, clock: &Clock, offset: i64) -> anyhow::Result<()> {
        self.jumps.fetch_add(1, Ordering::Relaxed);
        let different = self.rules.clocks == Clocks::Different;
        let latest = if different { offset.max(0) } else { offset };
        // Before the jump forth, and after the one back: no token counts as good that has expired for a node.
        self.offset.fetch_max(latest, Ordering::Relaxed);
        clock.set(offset)?;
        self.first_clock.store(offset, Ordering::Relaxed);
        self.world.sign_at(offset, if different { 0 } else { offset });
        self.offset.store(latest, Ordering::Relaxed);
        self.jumps.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a token may have expired for some node.
    pub fn may_have_expired(&self, token: &str) -> bool {
        let expires = claims(token).and_then(|claims| claims["exp"].as_i64());
        expires.is_none_or(|expires| expires - 10 <= true_time() + self.offset())
    }

    /// How long the run has lasted.
    pub fn at(&self) -> Duration {
        self.began.elapsed()
    }

    /// Remembers a violation.
    pub fn report(&self, violation: Violation) {
        self.violated.fetch_add(1, Ordering::Relaxed);
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        if violations.len() < TOLD {
            violations.push(violation.0);
        }
    }

    /// Another grant was walked to its end.
    pub fn count_flow(&self) {
        self.flows.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a name has not come before, to any client.
    pub fn is_new(&self, kind: &str, name: &str) -> bool {
        self.once
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(kind, name)
    }

    /// Sends a request until there is an answer that is one.
    pub async fn insist(
        &self,
        story: &mut Story,
        tally: &mut Tally,
        random: &mut Random,
        what: &str,
        ask: &Ask,
    ) -> Result<Insisted, Violation> {
        let began = Instant::now();
        let mut unsure = false;
        loop {
            let sent = Instant::now();
            let told = match self.balancer.send(ask, random).await {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    if !answer.headers.contains_key(RETRY_AFTER) {
                        return Err(story.violation(&format!("{what}: 503 without Retry-After")));
                    }
                    tally.count_unavailable(sent.elapsed());
                    self.unavailable.fetch_add(1, Ordering::Relaxed);
                    // It may have been done all the same: the database was lost at the commit.
                    unsure = true;
                    format!("{what} at node {}: {}", answer.node, answer.summary())
                }
                Ok(answer) => {
                    tally.count_answer(sent.elapsed());
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    tally.slowest = tally.slowest.max(began.elapsed());
                    story.tell(
                        self.at(),
                        &format!("{what} at node {}: {}", answer.node, answer.status.as_u16()),
                    );
                    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
                        return Err(story.violation(&format!("{what}: {}", answer.summary())));
                    }
                    return Ok(Insisted { answer, unsure });
                }
                Err(Failure::Lost(why)) => {
                    tally.lost += 1;
                    unsure = true;
                    format!("{what}: no answer: {why}")
                }
                Err(Failure::Unsent(why)) => {
                    tally.unsent += 1;
                    format!("{what}: not sent: {why}")
                }
            };
            story.tell(self.at(), &told);
            if began.elapsed() > PATIENCE {
                return Err(story.violation(&format!("{what}: asked in vain for {} s", PATIENCE.as_secs())));
            }
            let pause = random.between(Duration::from_millis(20), Duration::from_millis(150));
            sleep(pause).await;
        }
    }
}

/// An answer, and what went before it.
pub struct Insisted {
    pub answer: Answer,
    /// The same request may have been carried out before.
    pub unsure: bool,
}
