//! What a guard says about how it learns of revocations.

use doorward_oauth::time::UnixSeconds;

/// How well a guard knows what was revoked. From [`Guard::revocation_status`](crate::Guard::revocation_status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationStatus {
    /// It does not want to know: see [`Revocation::Off`](crate::Revocation::Off).
    Off,
    /// It asks about tokens when they come.
    Asks,
    /// It follows the feed, and has heard everything.
    Connected {
        /// Since when.
        since: UnixSeconds,
    },
    /// It follows the feed, and may have missed something.
    Disconnected {
        /// When it last heard something, or was built.
        since: UnixSeconds,
        /// Why.
        reason: FeedFault,
    },
}

/// Why a guard is not connected to the feed of revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeedFault {
    /// It has only begun, or no tokio runtime was there yet to begin in.
    Starting,
    /// It is connected again, and hears what it missed.
    CatchingUp,
    /// The authorization server cannot be reached, or failed.
    Unreachable,
    /// The authorization server does not let this client follow: credentials, or no resource server.
    Refused,
    /// The authorization server has no such feed.
    NotOffered,
    /// Nothing came, not even a sign of life.
    Silent,
    /// The authorization server ended the connection.
    Ended,
    /// What came is no feed of revocations.
    Malformed,
    /// More was revoked than may be remembered
    /// ([`FeedPolicy::max_entries`](crate::FeedPolicy::max_entries)).
    Full,
}

impl FeedFault {
    /// A short name, for logs and metrics. Stays the same from release to release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NotOffered => "not_offered",
            Self::Silent => "silent",
            Self::Ended => "ended",
            Self::Malformed => "malformed",
            Self::Full => "full",
        }
    }
}

/// What the follower of the feed counted. Part of [`MetricsSnapshot`](crate::MetricsSnapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedMetrics {
    /// Whether the guard has heard everything: 1 in a gauge, else 0.
    pub connected: bool,
    /// Revocations remembered now.
    pub remembered: usize,
    /// Revocations heard of.
    pub heard: u64,
    /// How often the connection was lost, or could not be made.
    pub disconnects: u64,
}
