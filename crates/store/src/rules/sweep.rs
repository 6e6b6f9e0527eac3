//! What is past its use, and since when.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

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
        }
    }
}

/// How far ahead the clock may be of whoever removes what is past its use: an hour, and what clocks are allowed to differ
/// anyway. What counted once and was forgotten too early would count again when that clock is set right, or at another node.
pub const CLOCK_ERROR: Duration = Duration::from_mins(65);

/// One kind after the other, and the time before which rows are past use; the caller removes each in an
/// operation of its own.
pub(crate) fn kinds(now: UnixSeconds, retain: Duration) -> [(Kind, UnixSeconds); 12] {
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
    ]
}
