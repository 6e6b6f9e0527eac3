//! The issuer's keys: fetched in the background, kept through outages.
//!
//! One task does all fetching, so there is never more than one request under way. It refreshes the keys before
//! they get old, tries again with growing pauses when it fails, and can be asked to look at once because a token
//! names a key that is not there. Nobody but the server's own answer ever replaces keys, and a failure never does.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use doorward_jose::{Jwk, JwkSet};
use doorward_oauth::time::{Clock, Outage, UnixSeconds};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::moment::Moment;
use crate::wait::{Background, ahead, shortened};
use discovery::DiscoveryError;
pub(crate) use discovery::KeySource;
pub(crate) use set::Choice;
use set::KeySet;
use task::Bells;

mod discovery;
mod set;
mod task;

/// How the keys are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyPolicy {
    /// The longest time between two refreshes that succeed.
    pub(crate) refresh: Duration,
    /// How long keys stay in use when no refresh succeeds.
    pub(crate) max_stale: Duration,
    /// The shortest time between two fetches for keys that turned out not to exist.
    pub(crate) cooldown: Duration,
    /// How long a request waits for keys.
    pub(crate) wait: Duration,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            max_stale: Duration::from_hours(24),
            cooldown: Duration::from_secs(30),
            wait: Duration::from_secs(5),
        }
    }
}

/// The shortest time between two refreshes.
const MIN_REFRESH: Duration = Duration::from_secs(30);
/// One attempt: metadata in up to three places, then the keys.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest pause after failures: short while requests are being turned away.
const MAX_PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(4);
const MAX_PAUSE_WITH_KEYS: Duration = Duration::from_secs(30);

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The token does not say which key it means.
    Unnamed,
    /// Nobody can tell now.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

pub(crate) struct Keys {
    source: KeySource,
    policy: KeyPolicy,
    clock: Arc<dyn Clock>,
    /// Differs between processes, so that many guards do not ask at the same second.
    jitter: u64,
    current: ArcSwapOption<KeySet>,
    /// Whether there are keys, or an answer may come that holds some.
    asked: AtomicBool,
    progress: watch::Sender<Progress>,
    gate: Mutex<Gate>,
    /// Attempts that failed, ever.
    failed: AtomicU64,
    /// As the log knows it.
    outage: Outage,
}

/// What the fetching task has done so far.
#[derive(Debug, Clone, Copy)]
struct Progress {
    started: u64,
    finished: u64,
    failures: u32,
    next_attempt: Instant,
}

#[derive(Default)]
struct Gate {
    task: Option<Background>,
    bells: Bells,
    /// The attempt that those who miss a key wait for.
    asked: u64,
    cooling_until: Option<UnixSeconds>,
}

impl Keys {
    pub(crate) fn new(source: KeySource, policy: KeyPolicy, clock: Arc<dyn Clock>, jitter: u64) -> Self {
        let progress = Progress {
            started: 0,
            finished: 0,
            failures: 0,
            next_attempt: Instant::now(),
        };
        Self {
            source,
            policy,
            clock,
            jitter,
            current: ArcSwapOption::empty(),
            asked: AtomicBool::new(false),
            progress: watch::Sender::new(progress),
            gate: Mutex::default(),
            failed: AtomicU64::new(0),
            outage: Outage::default(),
        }
    }

    /// Starts to fetch, if a runtime is there to do it and nobody does it yet.
    pub(crate) fn start(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut gate = self.gate();
        if !gate.task.as_ref().is_some_and(Background::is_running) {
            // New ones: in a forked process, a task that is not there waits for the old ones.
            gate.bells = Bells::default();
            let fetching = task::run(Arc::downgrade(self), gate.bells.clone());
            gate.task = Some(Background::spawn(&runtime, fetching));
        }
    }

    /// What `look` sees in the keys in force, if they are not too old.
    fn current<T>(self: &Arc<Self>, now: UnixSeconds, look: impl FnOnce(&KeySet) -> T) -> Option<T> {
        let set = self.current.load();
        let set = set.as_ref()?;
        let age = set.age(now);
        if !self.is_fresh(age) {
            // Either the server is away or the runtime that fetched is gone.
            self.start();
        }
        (age <= self.policy.max_stale).then(|| look(set))
    }

    /// Whether somebody refreshes the keys, so that nobody has to begin.
    pub(crate) fn are_fresh(&self, now: UnixSeconds) -> bool {
        let set = self.current.load();
        set.as_ref().is_some_and(|set| self.is_fresh(set.age(now)))
    }

    fn is_fresh(&self, age: Duration) -> bool {
        age <= self.policy.refresh.saturating_mul(2).min(self.policy.max_stale)
    }

    /// The generation of the keys in force, if they are not too old.
    pub(crate) fn generation(self: &Arc<Self>, now: UnixSeconds) -> Option<u64> {
        self.current(now, |set| set.generation)
    }

    /// The key that `choose` finds among keys that somebody refreshes, and their generation. Whoever gets none has to
    /// [wait](Self::find).
    pub(crate) fn at_hand(
        &self,
        now: UnixSeconds,
        choose: impl FnOnce(&JwkSet) -> Choice<'_>,
    ) -> Option<(Jwk, u64)> {
        let set = self.current.load();
        let set = set.as_ref()?;
        match choose(&set.keys) {
            Choice::Found(key) if self.is_fresh(set.age(now)) => Some((key.clone(), set.generation)),
            _ => None,
        }
    }

    /// The key that `choose` finds, and the generation of the keys that it is among. Waits for at most one fetch, which it
    /// shares with everybody else.
    pub(crate) async fn find(
        self: &Arc<Self>,
        now: UnixSeconds,
        choose: impl Fn(&JwkSet) -> Choice<'_>,
    ) -> Result<(Jwk, u64), KeyError> {
        let look = |set: &KeySet| match choose(&set.keys) {
            Choice::Found(key) => Ok(Some((key.clone(), set.generation))),
            Choice::Missing => Ok(None),
            Choice::Unnamed => Err(KeyError::Unnamed),
        };
        let attempt = match self.current(now, look).transpose()? {
            Some(Some(found)) => return Ok(found),
            Some(None) => {
                self.start();
                self.ask()
            }
            None => {
                self.start();
                self.next_attempt()
            }
        };
        if let Some(attempt) = attempt {
            self.wait_for(attempt).await?;
        }
        // Without anything to wait for as well: a fetch may have ended since the keys were looked at.
        let found = self.current(self.clock.now(), look).transpose()?;
        let found = found
            .ok_or_else(|| self.unavailable())?
            .ok_or_else(|| self.verdict())?;
        if attempt.is_some() {
            // The key was really new, so asking was no abuse.
            self.gate().cooling_until = None;
        }
        Ok(found)
    }

    /// Fetches again, and once more when every node of the issuer has them: it says that its keys have changed.
    pub(crate) fn renew(self: &Arc<Self>) {
        self.start();
        self.gate().bells.changed.notify_one();
    }

    /// From now on the issuer tells when its keys change. Those that it was asked for before may have changed meanwhile, so
    /// they are fetched once more when every node of the issuer has what has changed until now.
    pub(crate) fn told_from_now_on(self: &Arc<Self>) {
        if self.asked.load(Ordering::Acquire) {
            self.start();
            self.gate().bells.doubted.notify_one();
        }
    }

    /// Asks for a fetch because a key is missing: the number of the attempt to wait for, or `None` while that is
    /// not allowed.
    fn ask(&self) -> Option<u64> {
        let now = self.clock.now();
        let mut gate = self.gate();
        let progress = *self.progress.borrow();
        if gate.asked > progress.finished {
            return Some(gate.asked);
        }
        let cooldown = self.policy.cooldown;
        if gate
            .cooling_until
            .and_then(|until| ahead(until, now, cooldown))
            .is_some()
        {
            return None;
        }
        // An attempt that is under way may have read the keys before the new one was there.
        gate.asked = progress.started + 1;
        gate.cooling_until = Some(now + cooldown);
        gate.bells.wake.notify_one();
        Some(gate.asked)
    }

    /// Without keys that may still be used: the attempt to wait for, or `None` in the pause after a failure.
    fn next_attempt(&self) -> Option<u64> {
        let mut gate = self.gate();
        let progress = *self.progress.borrow();
        if progress.started == 0 || progress.started > progress.finished {
            return Some(progress.finished + 1);
        }
        if progress.failures > 0 && Instant::now() < progress.next_attempt {
            return None;
        }
        // They grew too old before their time: the clock was set, or the machine slept.
        gate.asked = progress.started + 1;
        gate.bells.wake.notify_one();
        Some(gate.asked)
    }

    async fn wait_for(&self, attempt: u64) -> Result<(), KeyError> {
        let mut progress = self.progress.subscribe();
        let finished = progress.wait_for(|progress| progress.finished >= attempt);
        match tokio::time::timeout(self.policy.wait, finished).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.unavailable()),
        }
    }

    /// What to say about a key that is not in the set: the server's last answer counts only if there was one.
    fn verdict(&self) -> KeyError {
        if self.progress.borrow().failures == 0 {
            KeyError::Unknown
        } else {
            self.unavailable()
        }
    }

    fn unavailable(&self) -> KeyError {
        let next_attempt = self.progress.borrow().next_attempt;
        let until_next = next_attempt.saturating_duration_since(Instant::now());
        // Whole seconds, rounded up.
        let seconds = (until_next + Duration::from_millis(999)).as_secs();
        KeyError::Unavailable {
            retry_after: Duration::from_secs(seconds.max(1)),
        }
    }

    /// Fetches once; returns the pause before the next time.
    async fn attempt(&self) -> Duration {
        self.progress.send_modify(|progress| progress.started += 1);
        let asking = || self.asked.store(true, Ordering::Release);
        // What panics is a failed attempt. Without this task nobody would make another one.
        let fetching = AssertUnwindSafe(self.source.fetch_keys(asking)).catch_unwind();
        let fetched = match tokio::time::timeout(ATTEMPT_TIMEOUT, fetching).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(_)) => Err(DiscoveryError::Panicked),
            Err(_) => Err(DiscoveryError::Timeout),
        };
        let (failures, pause) = match fetched {
            Ok((keys, fresh_for)) => {
                self.replace(keys);
                self.tell_of_success();
                // In good time before they are too old.
                let longest = self.policy.refresh.min(self.policy.max_stale / 2);
                let pause = fresh_for.unwrap_or(longest).min(longest);
                let shortest = MIN_REFRESH.min(longest).max(Duration::from_secs(1));
                (0, self.vary(pause.max(shortest)))
            }
            Err(error) => {
                let failures = self.progress.borrow().failures.saturating_add(1);
                let has_keys = self.current.load().is_some();
                self.asked.store(has_keys, Ordering::Release);
                self.tell_of_failure(&error, has_keys);
                let longest = if has_keys {
                    MAX_PAUSE_WITH_KEYS
                } else {
                    MAX_PAUSE_WITHOUT_KEYS
                };
                let pause = Duration::from_secs(1).saturating_mul(1 << (failures - 1).min(10));
                (failures, self.vary(pause.min(longest)))
            }
        };
        self.progress.send_modify(|progress| {
            progress.finished = progress.started;
            progress.failures = failures;
            progress.next_attempt = Instant::now() + pause;
        });
        pause
    }

    fn tell_of_success(&self) {
        if let Some(away) = self.outage.worked(Instant::now().into_std()) {
            tracing::info!(
                from = self.source.place(),
                seconds = away.as_secs(),
                "the keys of the authorization server are refreshed again"
            );
        }
    }

    fn tell_of_failure(&self, error: &DiscoveryError, has_keys: bool) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let from = self.source.place();
        if let Some(failures) = self.outage.failed(Instant::now().into_std()) {
            tracing::warn!(from, %error, failures, has_keys, "the keys of the authorization server could not be refreshed");
        } else {
            tracing::debug!(from, %error, has_keys, "the keys of the authorization server could not be refreshed");
        }
    }

    /// How long ago the keys were fetched, and how often that failed.
    pub(crate) fn counts(&self) -> (Option<Duration>, u64) {
        let now = self.clock.now();
        let age = self.current.load().as_ref().map(|set| set.age(now));
        (age, self.failed.load(Ordering::Relaxed))
    }

    /// The `kid`s of the keys in force, for the log.
    pub(crate) fn key_ids(&self) -> String {
        self.current
            .load()
            .as_ref()
            .map(|set| key_ids(&set.keys))
            .unwrap_or_default()
    }

    fn replace(&self, keys: JwkSet) {
        let generation = match &*self.current.load() {
            Some(set) if set.keys == keys => set.generation,
            Some(set) => set.generation + 1,
            None => 1,
        };
        self.current.store(Some(Arc::new(KeySet {
            keys,
            fetched_at: Moment::now(&*self.clock),
            generation,
        })));
    }

    /// Shortens a pause by up to a tenth.
    fn vary(&self, pause: Duration) -> Duration {
        let started = self.progress.borrow().started;
        shortened(pause, 0.1, self.jitter, started)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `kid`s of keys, for the log.
pub(crate) fn key_ids(keys: &JwkSet) -> String {
    let key_ids: Vec<_> = keys.keys.iter().filter_map(Jwk::key_id).collect();
    key_ids.join(" ")
}

impl Drop for Keys {
    fn drop(&mut self) {
        // The task finds nobody left and ends.
        self.gate().bells.wake.notify_one();
    }
}
