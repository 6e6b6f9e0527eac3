//! What tells that something has changed which others may have kept in memory.
//!
//! The database itself counts the changes (triggers), in the transaction that makes them, so that no way to change
//! something is forgotten. A version is taken before something is read, and what was read may be used as long as the
//! version is the same.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

#[cfg(feature = "postgres")]
use crate::Result;

/// What another node changed this long ago is known here, or nothing that was kept is used.
pub const STALE_AFTER: Duration = Duration::from_secs(1);

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The log of revocations has grown.
    Revocations,
    /// A client was changed or removed; not: added, not: registered once more as it is.
    Clients,
    /// A resource was added, changed or removed.
    Resources,
    /// A signing key was added, withdrawn, encrypted anew or removed.
    SigningKeys,
    /// A trusted issuer or an assertion audience was added, changed or removed.
    Policies,
}

impl Change {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Revocations,
        Self::Clients,
        Self::Resources,
        Self::SigningKeys,
        Self::Policies,
    ];

    /// The row of the table `change_count`; the log of revocations needs none and is 0.
    const fn number(self) -> usize {
        match self {
            Self::Revocations => 0,
            Self::Clients => 1,
            Self::Resources => 2,
            Self::SigningKeys => 3,
            Self::Policies => 4,
        }
    }

    /// The kind with this number; `None` for one that a newer version counts.
    pub(crate) fn of(number: i64) -> Option<Self> {
        let number = usize::try_from(number).ok()?;
        Self::ALL.get(number).copied()
    }
}

/// Of one kind, at one moment. Equal versions: nothing of the kind has changed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(u64);

/// What has changed, as far as this process knows.
#[derive(Debug)]
pub struct Changes {
    /// Read without a lock: every request looks, several times.
    versions: [AtomicU64; Change::ALL.len()],
    /// For those who wait for another version.
    signals: [watch::Sender<()>; Change::ALL.len()],
    known: Known,
}

/// Whether all changes are known.
#[derive(Debug)]
enum Known {
    /// Nobody else changes anything.
    Always,
    /// Those that were made before a moment.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "without it, databases are of one process")
    )]
    Before(Moment),
}

/// The last moment at which the database was asked.
#[derive(Debug)]
struct Moment {
    /// When this process began to ask.
    began: Instant,
    /// Nanoseconds after that, and one; 0: it was never asked.
    after: AtomicU64,
}

impl Changes {
    /// For a database that is this process's own.
    pub(crate) fn of_one_process() -> Self {
        Self::new(Known::Always)
    }

    /// For a database that others change too: nothing is known until [`Self::confirm`].
    #[cfg(feature = "postgres")]
    pub(crate) fn of_several() -> Self {
        Self::new(Known::Before(Moment {
            began: Instant::now(),
            after: AtomicU64::new(0),
        }))
    }

    fn new(known: Known) -> Self {
        Self {
            versions: std::array::from_fn(|_| AtomicU64::new(0)),
            signals: std::array::from_fn(|_| watch::Sender::new(())),
            known,
        }
    }

    /// The version of a kind: what was read while it was this one still holds, or has been changed by another node less
    /// than [`STALE_AFTER`] ago. What this process itself changes has another version before the operation answers.
    /// `None` when nobody knows, because the database did not answer for that long: then nothing that was read before
    /// may be used.
    pub fn version(&self, change: Change) -> Option<Version> {
        self.are_known()
            .then(|| Version(self.versions[change.number()].load(Ordering::SeqCst)))
    }

    /// Whether there is a [`version`](Self::version) of anything: what other nodes change is heard here.
    pub fn are_known(&self) -> bool {
        match &self.known {
            Known::Always => true,
            Known::Before(moment) => moment.is_fresh(Instant::now()),
        }
    }

    /// Is told when a kind has another version.
    pub fn subscribe(&self, change: Change) -> watch::Receiver<()> {
        self.signals[change.number()].subscribe()
    }

    /// Something of this kind has changed, or may have.
    pub(crate) fn tell(&self, change: Change) {
        let number = change.number();
        self.versions[number].fetch_add(1, Ordering::SeqCst);
        self.signals[number].send_replace(());
    }

    /// Tells, and gives back what was handed in: the outcome of an operation that may change this.
    #[cfg(feature = "postgres")]
    pub(crate) fn after<T>(&self, change: Change, outcome: T) -> T {
        self.tell(change);
        outcome
    }

    /// The same for an operation that counts what it changes: with none, nothing has.
    #[cfg(feature = "postgres")]
    pub(crate) fn after_any(&self, change: Change, outcome: Result<u64>) -> Result<u64> {
        if !matches!(outcome, Ok(0)) {
            self.tell(change);
        }
        outcome
    }

    /// Every change that was made before this moment has been told.
    #[cfg(feature = "postgres")]
    pub(crate) fn confirm(&self, moment: Instant) {
        if let Known::Before(known) = &self.known {
            known.set(moment);
        }
    }
}

impl Moment {
    #[cfg(feature = "postgres")]
    fn set(&self, moment: Instant) {
        let after = moment.checked_duration_since(self.began);
        // 580 years fit.
        let after = after.and_then(|after| u64::try_from(after.as_nanos()).ok()?.checked_add(1));
        self.after.store(after.unwrap_or(0), Ordering::SeqCst);
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let Some(after) = self.after.load(Ordering::SeqCst).checked_sub(1) else {
            return false;
        };
        let passed = now.saturating_duration_since(self.began);
        passed.saturating_sub(Duration::from_nanos(after)) <= STALE_AFTER
    }
}

/// Changes that are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Pending(AtomicU8);

impl Pending {
    pub(crate) fn note(&self, change: Change) {
        self.0.fetch_or(1 << change.number(), Ordering::Relaxed);
    }

    /// Takes all of them out.
    pub(crate) fn take(&self) -> impl Iterator<Item = Change> + use<> {
        let noted = self.0.swap(0, Ordering::Relaxed);
        Change::ALL
            .into_iter()
            .filter(move |change| noted & (1 << change.number()) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_database() {
        for (number, change) in Change::ALL.into_iter().enumerate() {
            assert_eq!(change.number(), number);
            assert_eq!(Change::of(i64::try_from(number).unwrap()), Some(change));
        }
        assert_eq!(Change::of(5), None);
        assert_eq!(Change::of(-1), None);
    }

    #[test]
    fn what_is_pending_is_told_once() {
        let pending = Pending::default();
        pending.note(Change::Policies);
        pending.note(Change::Revocations);
        assert_eq!(
            pending.take().collect::<Vec<_>>(),
            [Change::Revocations, Change::Policies]
        );
        assert_eq!(pending.take().count(), 0);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn nothing_is_known_before_the_database_was_asked_nor_a_second_later() {
        let changes = Changes::of_several();
        assert_eq!(changes.version(Change::Clients), None);
        assert!(!changes.are_known() && Changes::of_one_process().are_known());
        let now = Instant::now();
        changes.confirm(now);
        let version = changes.version(Change::Clients);
        assert!(version.is_some() && changes.are_known());
        changes.tell(Change::Resources);
        assert_eq!(changes.version(Change::Clients), version);
        changes.tell(Change::Clients);
        assert_ne!(changes.version(Change::Clients), version);
        let Known::Before(moment) = &changes.known else {
            panic!("others change it too");
        };
        assert!(moment.is_fresh(now + STALE_AFTER));
        assert!(!moment.is_fresh(now + STALE_AFTER + Duration::from_millis(1)));
        changes.confirm(now.checked_sub(Duration::from_mins(1)).unwrap());
        assert_eq!(changes.version(Change::Clients), None);
    }
}
