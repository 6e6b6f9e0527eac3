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

impl RevocationStatus {
    /// Of two followers the one that says less, and has said so for longer.
    pub(super) fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Disconnected { since: one, .. }, Self::Disconnected { since: another, .. }) => {
                if another < one { other } else { self }
            }
            (Self::Disconnected { .. }, _) => self,
            (_, Self::Disconnected { .. }) => other,
            (Self::Connected { since: one }, Self::Connected { since: another }) => {
                // Everything is heard since the last one is heard.
                Self::Connected {
                    since: one.max(another),
                }
            }
            _ => self,
        }
    }
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

/// What the followers of feeds counted together. Part of [`MetricsSnapshot`](crate::MetricsSnapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedMetrics {
    /// Whether the guard has heard everything, of every issuer that it follows: 1 in a gauge, else 0.
    pub connected: bool,
    /// Revocations remembered now.
    pub remembered: usize,
    /// Revocations heard of.
    pub heard: u64,
    /// How often the connection was lost, or could not be made.
    pub disconnects: u64,
}

impl FeedMetrics {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            connected: self.connected && other.connected,
            remembered: self.remembered + other.remembered,
            heard: self.heard + other.heard,
            disconnects: self.disconnects + other.disconnects,
        }
    }
}
