//! The follower of the authorization server's feed of revocations: one task, one connection, bounded memory.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_oauth::time::Clock;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::follow;
use super::introspection::{Introspection, IntrospectionPolicy};
use super::memory::{Memory, Noted, Notice};
use super::status::{FeedFault, FeedMetrics, RevocationStatus};
use crate::claims::Claims;
use crate::client::OAuthClient;
use crate::keys::Keys;
use crate::moment::Moment;
use crate::verify::{Rejection, VerifyError};
use crate::wait::Background;

/// How a guard follows the feed of revocations, or each of them where it has several issuers. The
/// defaults keep the server up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedPolicy {
    /// The longest time that an access token of the issuer lives (Doorward's `tokens.access_ttl`): a revocation is
    /// remembered that long, and an hour and seven minutes more for clocks. Tokens that live longer are refused only
    /// that long. Default: 1 h.
    pub max_token_lifetime: Duration,
    /// Revocations remembered at most, about 200 bytes each. When that is not enough, nothing is forgotten early: the
    /// guard disconnects ([`FeedFault::Full`]) and goes on where it was when there is room. Default: 100 000.
    pub max_entries: usize,
    /// How long the guard may be without the feed before it counts as blind. Default: 30 s.
    pub blind_after: Duration,
    /// What becomes of tokens when it is blind. Default: [`WhileBlind::Accept`].
    pub while_blind: WhileBlind,
}

impl Default for FeedPolicy {
    fn default() -> Self {
        Self {
            max_token_lifetime: Duration::from_hours(1),
            max_entries: 100_000,
            blind_after: Duration::from_secs(30),
            while_blind: WhileBlind::Accept,
        }
    }
}

impl FeedPolicy {
    /// Sets [`max_token_lifetime`](field@Self::max_token_lifetime).
    #[must_use]
    pub fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = lifetime;
        self
    }

    /// Sets [`max_entries`](field@Self::max_entries).
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Sets [`blind_after`](field@Self::blind_after).
    #[must_use]
    pub fn blind_after(mut self, time: Duration) -> Self {
        self.blind_after = time;
        self
    }

    /// Sets [`while_blind`](field@Self::while_blind).
    #[must_use]
    pub fn while_blind(mut self, choice: WhileBlind) -> Self {
        self.while_blind = choice;
        self
    }
}

/// What becomes of tokens whose grant may have been revoked without the guard's knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileBlind {
    /// They count until they expire, unless they are known to be revoked.
    Accept,
    /// The authorization server is asked about each.
    Ask(IntrospectionPolicy),
    /// They are answered with `503` and `Retry-After`.
    Refuse,
}

/// On top of a token's lifetime, as long as the server does: an hour by which the clock of guard or node may be wrong for a
/// while, and what clocks are allowed to differ anyway. What is forgotten is not told again.
const CLOCK_ERROR: Duration = Duration::from_mins(67);
/// What a client that is refused for blindness is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the guard holds: when it goes, so does the task.
pub(crate) struct Feed {
    pub(super) shared: Arc<Shared>,
    client: OAuthClient,
    ask: Option<Introspection>,
    while_blind: WhileBlind,
    blind_after: Duration,
    max_token_lifetime: Duration,
    warned_of_lifetime: AtomicBool,
    task: Mutex<Option<Background>>,
    /// The process that the task runs in: a forked one has to follow by itself.
    process: AtomicU32,
    seed: u64,
}

/// What the task and the guard share.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    memory: RwLock<Memory>,
    state: RwLock<State>,
    /// Whether there is no fault, at hand for every request.
    connected: AtomicBool,
    /// When something was last heard.
    heard_at: ArcSwap<Moment>,
    changes: watch::Sender<u64>,
    /// The issuer's keys, if the guard checks signatures itself.
    keys: OnceLock<Arc<Keys>>,
    heard: AtomicU64,
    disconnects: AtomicU64,
}

/// Whether everything was heard, or why not, and since when.
#[derive(Clone, Copy)]
struct State {
    fault: Option<FeedFault>,
    since: Moment,
}

impl Feed {
    pub(super) fn new(policy: FeedPolicy, client: OAuthClient, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let now = Moment::now(&*clock);
        let ask = match &policy.while_blind {
            WhileBlind::Ask(asking) => Some(Introspection::new(*asking, client.clone(), clock.clone())),
            _ => None,
        };
        let keep = policy.max_token_lifetime.saturating_add(CLOCK_ERROR);
        let shared = Shared {
            clock,
            memory: RwLock::new(Memory::new(policy.max_entries, keep)),
            state: RwLock::new(State {
                fault: Some(FeedFault::Starting),
                since: now,
            }),
            connected: AtomicBool::new(false),
            heard_at: ArcSwap::from_pointee(now),
            changes: watch::Sender::new(0),
            keys: OnceLock::new(),
            heard: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            client,
            ask,
            while_blind: policy.while_blind,
            blind_after: policy.blind_after,
            max_token_lifetime: policy.max_token_lifetime,
            warned_of_lifetime: AtomicBool::new(false),
            task: Mutex::new(None),
            process: AtomicU32::new(0),
            seed,
        }
    }

    /// The keys that the feed tells of.
    pub(super) fn watch_keys(&self, keys: &Arc<Keys>) {
        let _ = self.shared.keys.set(Arc::clone(keys));
    }

    /// Begins to follow, if a runtime is there to do it and nobody does it yet.
    pub(crate) fn start(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.as_ref().is_some_and(Background::is_running) {
            // What was connected, if anything, was another process' task.
            self.shared.disconnect(FeedFault::Starting);
            let following = follow::run(Arc::clone(&self.shared), self.client.clone(), self.seed);
            *task = Some(Background::spawn(&runtime, following));
            self.process.store(std::process::id(), Ordering::Release);
        }
    }

    /// Completes at once, unless the guard is blind and asks.
    pub(crate) async fn check(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        self.warn_of_lifetime(claims);
        if self.shared.memory().holds(claims) {
            return Err(Rejection::Revoked.into());
        }
        if !self.is_blind() {
            return Ok(());
        }
        match (&self.while_blind, &self.ask) {
            (WhileBlind::Ask(_), Some(ask)) => ask.check(claims, token).await,
            (WhileBlind::Refuse, _) => Err(VerifyError::IntrospectionUnavailable {
                retry_after: RETRY_AFTER,
            }),
            _ => Ok(()),
        }
    }

    /// Whether [`check`](Self::check) passes without anybody being asked or anything being begun.
    pub(crate) fn surely_passes(&self, claims: &Claims) -> bool {
        let is_followed = self.is_connected() && self.shared.silence() <= follow::SILENCE * 2;
        let passes = is_followed && !self.shared.memory().holds(claims);
        if passes {
            self.warn_of_lifetime(claims);
        }
        passes
    }

    /// Whether everything was heard, by a task of this process.
    fn is_connected(&self) -> bool {
        self.process.load(Ordering::Acquire) == std::process::id()
            && self.shared.connected.load(Ordering::Acquire)
    }

    fn is_blind(&self) -> bool {
        if self.is_connected() {
            let silence = self.shared.silence();
            if silence > follow::SILENCE * 2 {
                // Not even the task noticed: its runtime is gone or stands still.
                self.start();
                return silence > self.blind_after;
            }
            return false;
        }
        self.start();
        let State { fault, since } = self.state();
        fault.is_some() && since.elapsed(&*self.shared.clock) >= self.blind_after
    }

    fn state(&self) -> State {
        let state = *self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.fault.is_none() && !self.is_connected() {
            // Another process' task is: this one was forked and has not begun.
            return State {
                fault: Some(FeedFault::Starting),
                since: self.shared.heard_at(),
            };
        }
        state
    }

    pub(crate) fn status(&self) -> RevocationStatus {
        let State { fault, since } = self.state();
        let since = since.time;
        match fault {
            None => RevocationStatus::Connected { since },
            Some(reason) => RevocationStatus::Disconnected { since, reason },
        }
    }

    pub(crate) fn metrics(&self) -> FeedMetrics {
        FeedMetrics {
            connected: self.is_connected(),
            remembered: self.shared.memory().len(),
            heard: self.shared.heard.load(Ordering::Relaxed),
            disconnects: self.shared.disconnects.load(Ordering::Relaxed),
        }
    }

    /// Completes when the token turns out to be revoked.
    pub(crate) fn revoked(&self, claims: &Claims) -> BoxFuture<'static, ()> {
        let (shared, claims) = (Arc::clone(&self.shared), claims.clone());
        let mut changes = shared.changes.subscribe();
        Box::pin(async move {
            while !shared.memory().holds(&claims) {
                // `shared` holds the sender.
                let _ = changes.changed().await;
            }
        })
    }

    fn warn_of_lifetime(&self, claims: &Claims) {
        let lifetime = claims.expires_at.since(claims.issued_at);
        if lifetime > self.max_token_lifetime && !self.warned_of_lifetime.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                lifetime = lifetime.as_secs(),
                max_token_lifetime = self.max_token_lifetime.as_secs(),
                "access tokens live longer than revocations are remembered; raise `max_token_lifetime` of the feed policy",
            );
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Shared {
    /// The issuer's keys have changed: one that was withdrawn must not count until the next time that they are fetched.
    pub(super) fn renew_keys(&self) {
        if let Some(keys) = self.keys.get() {
            keys.renew();
        }
    }

    /// The first connection is there. It tells of keys that change from now on, not of those that changed just before.
    pub(super) fn hear_of_keys(&self) {
        if let Some(keys) = self.keys.get() {
            keys.told_from_now_on();
        }
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard_at(&self) -> Moment {
        **self.heard_at.load()
    }

    /// How long nothing was heard.
    fn silence(&self) -> Duration {
        self.heard_at().elapsed(&*self.clock)
    }

    /// Bytes came.
    pub(super) fn hear(&self) {
        self.heard_at.store(Arc::new(Moment::now(&*self.clock)));
    }

    pub(super) fn note(&self, notice: Notice) -> Noted {
        // Before the lock: see `Clock::now`.
        let now = self.clock.now();
        let noted = self.memory_mut().note(notice, now);
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
        noted
    }

    pub(super) fn forget_the_past(&self) {
        let now = self.clock.now();
        self.memory_mut().forget(now);
    }

    pub(super) fn connect(&self) {
        let since = Moment::now(&*self.clock);
        *self.state_mut() = State { fault: None, since };
        self.connected.store(true, Ordering::Release);
    }

    /// From the time when something was last heard; what is known to be missed since longer stays so.
    pub(super) fn disconnect(&self, reason: FeedFault) {
        let mut state = self.state_mut();
        if state.fault.is_none() {
            state.since = self.heard_at();
        }
        state.fault = Some(reason);
        self.connected.store(false, Ordering::Release);
    }

    pub(super) fn count_disconnect(&self) {
        self.disconnects.fetch_add(1, Ordering::Relaxed);
    }
}
