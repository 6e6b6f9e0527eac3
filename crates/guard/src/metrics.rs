//! What a guard counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::guard::Guard;
use crate::reason::Reason;
use crate::revocation::FeedMetrics;
use crate::verify::Judge;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    allowed: AtomicU64,
    /// By the names of reasons, so bounded.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    pub(crate) fn allow(&self) {
        self.allowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(reason.as_str()).or_default() += 1;
    }
}

/// What a guard has decided so far. Made by [`Guard::metrics`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Requests that reached the MCP server.
    pub allowed: u64,
    /// Requests that did not, by [reason](Reason::as_str).
    pub refused: BTreeMap<&'static str, u64>,
    /// The follower of the feed of revocations, if there is one.
    pub feed: Option<FeedMetrics>,
    /// The keys of each issuer; empty for a guard with verifiers of its own.
    pub keys: Vec<KeyMetrics>,
}

/// The keys of an issuer. Part of [`MetricsSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyMetrics {
    /// The issuer identifier.
    pub issuer: String,
    /// How long ago they were fetched; `None`: there are none yet.
    pub age: Option<Duration>,
    /// Attempts to fetch them that failed since the guard was built.
    pub failures: u64,
}

impl Guard {
    /// The counts since the guard was built, to be handed to whatever metrics library the program uses.
    pub fn metrics(&self) -> MetricsSnapshot {
        // Before the lock: they look at the clock.
        let keys = self.key_metrics();
        let metrics = &self.0.metrics;
        let refused = metrics.refused.lock().unwrap_or_else(PoisonError::into_inner);
        MetricsSnapshot {
            allowed: metrics.allowed.load(Ordering::Relaxed),
            refused: refused.clone(),
            feed: self.0.revocations.feed_metrics(),
            keys,
        }
    }

    fn key_metrics(&self) -> Vec<KeyMetrics> {
        let Judge::Issuers(verifier) = &self.0.verifier.judge else {
            return Vec::new();
        };
        let metrics = verifier.issuers.iter().map(|trusted| {
            let (age, failures) = trusted.keys.counts();
            KeyMetrics {
                issuer: trusted.issuer.as_str().to_owned(),
                age,
                failures,
            }
        });
        metrics.collect()
    }
}
