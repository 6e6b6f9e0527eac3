//! Whether a token that is otherwise good was revoked meanwhile.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::{Clock, Outage};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::builder::{BuildError, GuardBuilder};
use crate::claims::Claims;
use crate::client::{ClientAuth, OAuthClient};
use crate::guard::{Guard, Inner};
use crate::keys::Keys;
use crate::verify::{Rejection, VerifyError};

mod events;
mod feed;
mod follow;
mod introspection;
mod memory;
mod speakers;
mod status;

use feed::Feed;
pub use feed::{FeedPolicy, WhileBlind};
use introspection::Introspection;
pub use introspection::{Fail, IntrospectionPolicy};
use speakers::{Speakers, Stranger};
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
    /// request waits for it. Needs [`client_auth`](GuardBuilder::client_auth) of a client that the server knows as this
    /// resource server; any method but a public client's will do.
    ///
    /// A guard with [several issuers](GuardBuilder::issuer) follows each for which it has credentials: the first, and those
    /// that [`issuer_client_auth`](GuardBuilder::issuer_client_auth) names. Each has a follower and a memory of its own, and
    /// a [status](Guard::revocation_statuses). Tokens of the others count until they expire.
    Feed(FeedPolicy),
    /// It asks the authorization server (RFC 7662): that of the token, if the guard has credentials for it, as above.
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

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Feed(policy) => f.debug_tuple("Feed").field(policy).finish(),
            Self::Introspection(policy) => f.debug_tuple("Introspection").field(policy).finish(),
            Self::Checker(_) => f.debug_tuple("Checker").finish_non_exhaustive(),
        }
    }
}

/// What the builder's choice became.
pub(crate) enum Revocations {
    Off,
    /// One for each issuer that is followed.
    Feeds(Speakers<Feed>),
    /// One for each issuer that can be asked.
    Introspections(Speakers<Introspection>),
    Checker(Arc<dyn RevocationChecker>),
}

impl Revocations {
    /// `clients` are those of the issuers, the guard's own first. `seed` only spreads the reconnects of several processes.
    pub(crate) fn new(
        choice: Revocation,
        clients: &[OAuthClient],
        clock: &Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, BuildError> {
        Ok(match choice {
            Revocation::Off => Self::Off,
            Revocation::Feed(policy) => {
                if policy.max_entries == 0 {
                    return Err(BuildError::Revocation(
                        "the feed of revocations needs `max_entries` of at least 1",
                    ));
                }
                let feed = |client| Feed::new(policy.clone(), client, Arc::clone(clock), seed);
                check_clients(clients)?;
                Self::Feeds(Speakers::new(clients, may_ask, feed))
            }
            Revocation::Introspection(policy) => {
                let introspection = |client| Introspection::new(policy, client, Arc::clone(clock));
                check_clients(clients)?;
                Self::Introspections(Speakers::new(clients, may_ask, introspection))
            }
            Revocation::Checker(checker) => Self::Checker(checker),
        })
    }

    /// The keys of an issuer, which its feed tells of.
    pub(crate) fn watch_keys(&self, issuer: &str, keys: &Arc<Keys>) {
        if let Self::Feeds(feeds) = self
            && let Some(feed) = feeds.of(issuer)
        {
            feed.watch_keys(keys);
        }
    }

    /// Begins to follow, if that is the choice.
    pub(crate) fn start(&self) {
        if let Self::Feeds(feeds) = self {
            feeds.iter().for_each(Feed::start);
        }
    }

    /// The last question about a token that is otherwise good.
    pub(crate) async fn check(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        match self {
            Self::Off => Ok(()),
            Self::Feeds(feeds) => match feeds.for_token(&claims.issuer) {
                Ok(Some(feed)) => feed.check(claims, token).await,
                Ok(None) => Ok(()),
                Err(Stranger) => Err(nobody_to_ask(claims, &feeds.strangers)),
            },
            Self::Introspections(servers) => match servers.for_token(&claims.issuer) {
                Ok(Some(server)) => server.check(claims, token).await,
                Ok(None) => Ok(()),
                Err(Stranger) => Err(nobody_to_ask(claims, &servers.strangers)),
            },
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
            Self::Feeds(feeds) => feeds
                .for_token(&claims.issuer)
                .is_ok_and(|feed| feed.is_none_or(|feed| feed.surely_passes(claims))),
            Self::Introspections(_) | Self::Checker(_) => false,
        }
    }

    /// Completes when the token turns out to be revoked; `None` when nobody will tell.
    pub(crate) fn revoked(&self, claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        match self {
            Self::Off | Self::Introspections(_) => None,
            Self::Feeds(feeds) => {
                let feed = feeds.for_token(&claims.issuer).ok().flatten();
                feed.map(|feed| feed.revoked(claims))
            }
            Self::Checker(checker) => checker.revoked(claims),
        }
    }

    /// How the revocations of this issuer are learnt of.
    fn status_of(&self, issuer: &str) -> RevocationStatus {
        match self {
            Self::Off => RevocationStatus::Off,
            Self::Feeds(feeds) => feeds.of(issuer).map_or(RevocationStatus::Off, Feed::status),
            Self::Introspections(servers) => match servers.of(issuer) {
                Some(_) => RevocationStatus::Asks,
                None => RevocationStatus::Off,
            },
            Self::Checker(_) => RevocationStatus::Asks,
        }
    }

    /// The worst of the followers, if there are any.
    fn status(&self) -> RevocationStatus {
        match self {
            Self::Off => RevocationStatus::Off,
            Self::Feeds(feeds) => feeds
                .iter()
                .map(Feed::status)
                .reduce(RevocationStatus::worse)
                .unwrap_or(RevocationStatus::Off),
            Self::Introspections(_) | Self::Checker(_) => RevocationStatus::Asks,
        }
    }

    /// The counts of the followers together, if there are any.
    pub(crate) fn feed_metrics(&self) -> Option<FeedMetrics> {
        match self {
            Self::Feeds(feeds) => feeds.iter().map(Feed::metrics).reduce(FeedMetrics::and),
            _ => None,
        }
    }
}

/// Whether an issuer can be followed and asked. RFC 7662 §2.1: the endpoint must know who asks.
fn may_ask(client: &OAuthClient) -> bool {
    client.auth().is_some_and(ClientAuth::is_confidential)
}

/// The first issuer must be one that can be asked; of the others, those with credentials.
fn check_clients(clients: &[OAuthClient]) -> Result<(), BuildError> {
    let (first, others) = clients.split_first().ok_or(NO_CLIENT)?;
    if !may_ask(first) {
        return Err(NO_CLIENT);
    }
    for other in others {
        match other.auth() {
            None => tracing::warn!(
                issuer = other.issuer(),
                "tokens of this issuer count until they expire, revoked or not; give `issuer_client_auth` a client of it"
            ),
            Some(_) if !may_ask(other) => return Err(NO_CLIENT),
            Some(_) => {}
        }
    }
    Ok(())
}

/// The verifier accepts tokens that the settings do not provide for. Only an operator can put that right.
fn nobody_to_ask(claims: &Claims, strangers: &Outage) -> VerifyError {
    const NOBODY: &str = "whether a token of this issuer was revoked cannot be told: it is none of the guard's issuers; name it with `issuer`, or let the verifier accept none of its tokens";
    let issuer = claims.issuer.as_str();
    if let Some(failures) = strangers.failed(Instant::now().into_std()) {
        tracing::error!(issuer, failures, "{NOBODY}");
    } else {
        tracing::debug!(issuer, "{NOBODY}");
    }
    VerifyError::IntrospectionUnavailable {
        retry_after: introspection::RETRY_AFTER,
    }
}

const NO_CLIENT: BuildError = BuildError::Revocation(
    "the feed of revocations and introspection need a client that authenticates; register one for this resource server and give it with `client_auth`, for another issuer with `issuer_client_auth`",
);

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
    /// How the guard learns of revocations, and whether it is connected: to all the issuers that it follows. While it is
    /// not, this is the status of the one that it was without for longest.
    pub fn revocation_status(&self) -> RevocationStatus {
        self.0.revocations.status()
    }

    /// The same for each issuer, the first one first. [`RevocationStatus::Off`] for one whose revocations the guard does not
    /// learn of, because it has no [credentials](GuardBuilder::issuer_client_auth) there.
    pub fn revocation_statuses(&self) -> Vec<(&str, RevocationStatus)> {
        let issuers = self.0.verifier.issuers.iter();
        let status = |issuer: &str| self.0.revocations.status_of(issuer);
        issuers
            .map(|issuer| (issuer.as_str(), status(issuer.as_str())))
            .collect()
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
