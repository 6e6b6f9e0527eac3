//! What is past its use, and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::{Result, StoreError};

/// A kind of row that a sweep removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sessions,
    Throttles,
    Spent,
    Devices,
    Issuances,
    /// A redeemed code outlives its use, so that a replay is noticed.
    Codes,
    EndedGrants,
    PendingGrants,
    ExpiredGrants,
    GrantsWithoutRefresh,
    /// Expired, or used up, which ends them at that moment.
    InitialAccessTokens,
    /// Registered by itself and then never allowed by anybody: whoever can reach the server can make such rows. One that
    /// an operator disabled stays, or it would be enabled by registering again.
    UnusedClients,
    /// By which a caller whose answer was lost knows whether its transaction was (PostgreSQL).
    TransactionMarks,
}

impl Kind {
    /// As operators read it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Throttles => "login_throttles",
            Self::Spent => "spent",
            Self::Devices => "device_requests",
            Self::Issuances => "issuances",
            Self::Codes => "codes",
            Self::EndedGrants => "ended_grants",
            Self::PendingGrants => "pending_grants",
            Self::ExpiredGrants => "expired_grants",
            Self::GrantsWithoutRefresh => "grants_without_refresh",
            Self::InitialAccessTokens => "initial_access_tokens",
            Self::UnusedClients => "unused_clients",
            Self::TransactionMarks => "transaction_marks",
        }
    }
}

const _: () = assert!((Kind::TransactionMarks as u32) < u16::BITS, "each kind has a bit");

/// Which kinds a sweep is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepKinds(u16);

impl SweepKinds {
    /// Every kind.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether it is about nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    const fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u16;
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Default)]
pub struct Swept {
    kinds: Vec<(Kind, u64)>,
    left: SweepKinds,
    failed: Option<StoreError>,
}

impl Swept {
    /// So many of a kind, or why not. `is_under_way`: others may be where nobody has looked yet.
    pub(crate) fn add(&mut self, kind: Kind, removed: Result<u64>, limit: u32, is_under_way: bool) {
        match removed {
            Ok(rows) => {
                self.kinds.push((kind, rows));
                if rows >= u64::from(limit) || (rows > 0 && is_under_way) {
                    self.left.add(kind);
                }
            }
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
    }

    /// The name of each kind of row, and how many of it.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.kinds.iter().map(|(kind, rows)| (kind.name(), *rows))
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.kinds().map(|(_, rows)| rows).sum()
    }

    /// The kinds of which there may be more: as many rows were removed as were allowed, or nobody has looked everywhere.
    pub const fn left(&self) -> SweepKinds {
        self.left
    }

    /// Why the first kind could not be swept that could not. The others were.
    pub const fn failed(&self) -> Option<&StoreError> {
        self.failed.as_ref()
    }
}

/// How many clients are looked at, whether they are used or not.
pub(crate) const CLIENTS: u32 = 1000;
/// Behind every `client_id`.
pub(crate) const END_OF_CLIENTS: &str = "\u{10ffff}";

/// How far the search for rows has come that no index leads to: very many may be in use, and all others wait for whoever looks.
/// It goes round by a key, so many at a time; a node that starts begins anew.
#[derive(Debug, Default)]
pub(crate) struct Round<Key>(Mutex<Key>);

impl<Key: Clone + Default + PartialEq> Round<Key> {
    /// The last one that was looked at.
    pub(crate) fn after(&self) -> Key {
        self.place().clone()
    }

    /// Whether it has begun and is not at its end.
    pub(crate) fn is_under_way(&self) -> bool {
        *self.place() != Key::default()
    }

    /// Goes on behind the one that was the last of this step, or from the beginning. The same again when there may be more to
    /// remove.
    pub(crate) fn advance(&self, last: Option<Key>, removed: u64, limit: u32) {
        if removed < u64::from(limit) {
            *self.place() = last.unwrap_or_default();
        }
    }

    fn place(&self) -> MutexGuard<'_, Key> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far ahead the clock may be of whoever removes what is past its use: an hour, and what clocks are allowed to differ
/// anyway. What counted once and was forgotten too early would count again when that clock is set right, or at another node.
pub const CLOCK_ERROR: Duration = Duration::from_mins(65);

/// One kind of these after the other, and the time before which rows are past use; the caller removes each in an
/// operation of its own.
pub(crate) fn kinds(
    of: SweepKinds,
    now: UnixSeconds,
    retain: Duration,
) -> impl Iterator<Item = (Kind, UnixSeconds)> {
    let retained = now - retain;
    // Long enough to tell a late device why, too.
    let retained_briefly = now - CLOCK_ERROR;
    [
        (Kind::Sessions, retained_briefly),
        (Kind::Throttles, retained_briefly),
        (Kind::Spent, retained_briefly),
        (Kind::Devices, retained_briefly),
        (Kind::Issuances, retained),
        (Kind::Codes, retained),
        (Kind::EndedGrants, retained),
        (Kind::PendingGrants, retained),
        (Kind::ExpiredGrants, retained),
        (Kind::GrantsWithoutRefresh, retained),
        (Kind::InitialAccessTokens, retained),
        (Kind::UnusedClients, retained),
        (Kind::TransactionMarks, now),
    ]
    .into_iter()
    .filter(move |(kind, _)| of.contains(*kind))
}
