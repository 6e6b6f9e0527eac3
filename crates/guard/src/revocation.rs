//! Whether a token that is otherwise good was revoked meanwhile.

use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::Clock;
use futures_util::future::BoxFuture;

use crate::builder::{BuildError, GuardBuilder};
use crate::claims::Claims;
use crate::client::{ClientAuth, OAuthClient};
use crate::guard::{Guard, Inner};
use crate::verify::{Rejection, VerifyError};

mod events;
mod feed;
mod follow;
mod introspection;
mod memory;
mod status;

use feed::Feed;
pub use feed::{FeedPolicy, WhileBlind};
use introspection::Introspection;
pub use introspection::{Fail, IntrospectionPolicy};
pub use status::{FeedFault, FeedMetrics, RevocationStatus};

/// Says whether a token was revoked before its end.
pub trait RevocationChecker: Send + Sync {
    /// Whether the verified `token` was revoked. Asked for every request, so the answer should be at hand.
    ///
    /// # Errors
    /// [`RevocationUnavailable`] when nobody can tell: the request is then answered with `503`. A checker that prefers to
    /// let requests through answers `false`.
    fn is_revoked<'a>(
        &'a self,
        claims: &'a Claims,
        token: &'a str,
    ) -> BoxFuture<'a, Result<bool, RevocationUnavailable>>;

    /// Completes as soon as it is known that the token was revoked, to end event streams that are open by then. `None`,
    /// the default, when nobody will tell.
    fn revoked(&self, _claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// Whether the token was revoked cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody can tell whether the access token was revoked")]
pub struct RevocationUnavailable {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// How a guard learns of revocations.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Revocation {
    /// Not at all: tokens count until they end by themselves.
    #[default]
    Off,
    /// It follows the authorization server's feed: a token is refused within two seconds after its grant ended, and no
    /// request waits for it. Needs [`client_auth`](GuardBuilder::client_auth) with a secret, of a client that the server knows
    /// as this resource server. Speaks for the tokens of the guard's own issuer.
    Feed(FeedPolicy),
    /// It asks the authorization server (RFC 7662). Needs [`client_auth`](GuardBuilder::client_auth). Speaks for the tokens
    /// of the guard's own issuer.
    Introspection(IntrospectionPolicy),
    /// It asks this.
    Checker(Arc<dyn RevocationChecker>),
}

impl Revocation {
    /// [`Revocation::Feed`] with the default policy.
    pub fn feed() -> Self {
        Self::Feed(FeedPolicy::default())
    }

    /// [`Revocation::Introspection`] with the default policy.
    pub fn introspection() -> Self {
        Self::Introspection(IntrospectionPolicy::default())
    }
}

/// What the builder's choice became.
pub(crate) enum Revocations {
    Off,
    Feed(Feed),
    Introspection(Introspection),
    Checker(Arc<dyn RevocationChecker>),
}

impl Revocations {
    /// `seed` only spreads the reconnects of several processes.
    pub(crate) fn new(
        choice: Revocation,
        client: &OAuthClient,
        clock: &Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, BuildError> {
        let (client, clock) = (client.clone(), Arc::clone(clock));
        Ok(match choice {
            Revocation::Off => Self::Off,
            Revocation::Feed(policy) => {
                if !client.auth().is_some_and(ClientAuth::has_secret) {
                    return Err(BuildError::Revocation(
                        "the feed of revocations needs a client with a secret; register one for this resource server and give it with `client_auth(ClientAuth::basic(..))`",
                    ));
                }
                if policy.max_entries == 0 {
                    return Err(BuildError::Revocation(
                        "the feed of revocations needs `max_entries` of at least 1",
                    ));
                }
                if matches!(policy.while_blind, WhileBlind::Ask(_)) {
                    may_introspect(&client)?;
                }
                Self::Feed(Feed::new(policy, client, clock, seed))
            }
            Revocation::Introspection(policy) => {
                may_introspect(&client)?;
                Self::Introspection(Introspection::new(policy, client, clock))
            }
            Revocation::Checker(checker) => Self::Checker(checker),
        })
    }

    /// Begins to follow, if that is the choice.
    pub(crate) fn start(&self) {
        if let Self::Feed(feed) = self {
            feed.start();
        }
    }

    /// The last question about a token that is otherwise good.
    pub(crate) async fn check(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        match self {
            Self::Off => Ok(()),
            Self::Feed(feed) => feed.check(claims, token).await,
            Self::Introspection(introspection) => introspection.check(claims, token).await,
            Self::Checker(checker) => match checker.is_revoked(claims, token).await {
                Ok(false) => Ok(()),
                Ok(true) => Err(Rejection::Revoked.into()),
                Err(RevocationUnavailable { retry_after }) => {
                    Err(VerifyError::IntrospectionUnavailable { retry_after })
                }
            },
        }
    }

    /// Whether [`check`](Self::check) passes without anybody being asked or anything being begun.
    pub(crate) fn surely_passes(&self, claims: &Claims) -> bool {
        match self {
            Self::Off => true,
            Self::Feed(feed) => feed.surely_passes(claims),
            Self::Introspection(_) | Self::Checker(_) => false,
        }
    }

    /// Completes when the token turns out to be revoked; `None` when nobody will tell.
    pub(crate) fn revoked(&self, claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        match self {
            Self::Off | Self::Introspection(_) => None,
            Self::Feed(feed) => Some(feed.revoked(claims)),
            Self::Checker(checker) => checker.revoked(claims),
        }
    }

    /// The counts of the follower, if there is one.
    pub(crate) fn feed_metrics(&self) -> Option<FeedMetrics> {
        match self {
            Self::Feed(feed) => Some(feed.metrics()),
            _ => None,
        }
    }
}

/// RFC 7662 §2.1: the endpoint must know who asks.
fn may_introspect(client: &OAuthClient) -> Result<(), BuildError> {
    match client.auth() {
        None | Some(ClientAuth::Public { .. }) => Err(BuildError::Revocation(
            "introspection needs a client that authenticates; register one for this resource server and give it with `client_auth`",
        )),
        Some(_) => Ok(()),
    }
}

impl Inner {
    /// The last question about a token that is otherwise good. A revoked one is not remembered as verified any more.
    pub(crate) async fn check_revocation(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        let checked = self.revocations.check(claims, token).await;
        if checked == Err(VerifyError::Rejected(Rejection::Revoked)) {
            self.verifier.evict(token);
        }
        checked
    }
}

impl Guard {
    /// How the guard learns of revocations, and whether it is connected.
    pub fn revocation_status(&self) -> RevocationStatus {
        match &self.0.revocations {
            Revocations::Off => RevocationStatus::Off,
            Revocations::Feed(feed) => feed.status(),
            Revocations::Introspection(_) | Revocations::Checker(_) => RevocationStatus::Asks,
        }
    }
}

impl GuardBuilder {
    /// How the guard learns that a token was revoked before its end. Default: [`Revocation::Off`].
    #[must_use]
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }
}
