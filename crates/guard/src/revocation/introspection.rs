//! Asking the authorization server about every token (RFC 7662), but not more often than needed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::{Clock, Outage, UnixSeconds};
use futures_util::FutureExt;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::claims::Claims;
use crate::client::{ClientError, OAuthClient};
use crate::flights::Flights;
use crate::verify::{Rejection, VerifyError};
use crate::wait::ahead;

/// How a guard asks about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionPolicy {
    /// What becomes of a token when the authorization server gives no answer. Default: [`Fail::Closed`].
    pub fail: Fail,
    /// How long "active" counts: a revoked token may count for as long. Zero asks every time. Default: 10 s.
    pub ttl: Duration,
    /// How long "not active" counts. No token becomes active again. Default: 5 min.
    pub negative_ttl: Duration,
    /// Answers remembered at most. Default: 10 000.
    pub entries: usize,
}

impl Default for IntrospectionPolicy {
    fn default() -> Self {
        Self {
            fail: Fail::Closed,
            ttl: Duration::from_secs(10),
            negative_ttl: Duration::from_mins(5),
            entries: 10_000,
        }
    }
}

impl IntrospectionPolicy {
    /// Sets [`fail`](field@Self::fail).
    #[must_use]
    pub fn fail(mut self, choice: Fail) -> Self {
        self.fail = choice;
        self
    }

    /// Sets [`ttl`](field@Self::ttl).
    #[must_use]
    pub fn ttl(mut self, time: Duration) -> Self {
        self.ttl = time;
        self
    }

    /// Sets [`negative_ttl`](field@Self::negative_ttl).
    #[must_use]
    pub fn negative_ttl(mut self, time: Duration) -> Self {
        self.negative_ttl = time;
        self
    }

    /// Sets [`entries`](field@Self::entries).
    #[must_use]
    pub fn entries(mut self, answers: usize) -> Self {
        self.entries = answers;
        self
    }
}

/// What becomes of a token about which nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fail {
    /// It counts: an outage of the authorization server stops nobody, and revokes nothing.
    Open,
    /// It is answered with `503` and `Retry-After`.
    Closed,
}

/// What is said when the authorization server does not say when to come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

type Digest = [u8; 32];
type Answer = Result<bool, ClientError>;

pub(crate) struct Introspection(Arc<Inner>);

struct Inner {
    policy: IntrospectionPolicy,
    client: OAuthClient,
    clock: Arc<dyn Clock>,
    answers: Cache<Digest, (bool, UnixSeconds)>,
    /// Callers with the same token share one question. It goes on as long as one of them waits.
    flights: Flights<Digest, bool>,
    /// As the log knows it.
    outage: Outage,
}

impl Introspection {
    pub(super) fn new(policy: IntrospectionPolicy, client: OAuthClient, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            answers: Cache::new(policy.entries.max(1)),
            flights: Flights::default(),
            outage: Outage::default(),
            policy,
            client,
            clock,
        }))
    }

    /// Completes at once when the answer is remembered.
    pub(super) async fn check(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        let inner = &self.0;
        let digest = doorward_jose::sha256(token.as_bytes());
        let active = match inner.remembered(&digest, inner.clock.now()) {
            Some(active) => Ok(active),
            None => inner.ask(digest, token, claims.expires_at).await,
        };
        match (active, inner.policy.fail) {
            (Ok(true), _) => Ok(()),
            // For outages of the server. Whoever sends more than this guard may ask about must not pass by it.
            (Err(error), Fail::Open) if !error.is_busy() => Ok(()),
            (Ok(false), _) => Err(Rejection::Revoked.into()),
            (Err(error), _) => Err(VerifyError::IntrospectionUnavailable {
                retry_after: error.retry_after().unwrap_or(RETRY_AFTER),
            }),
        }
    }
}

impl Inner {
    fn remembered(&self, digest: &Digest, now: UnixSeconds) -> Option<bool> {
        let (active, until) = self.answers.get(digest)?;
        ahead(until, now, self.ttl(active)).map(|_| active)
    }

    async fn ask(self: &Arc<Self>, digest: Digest, token: &str, expires_at: UnixSeconds) -> Answer {
        let start = || {
            let (inner, token) = (Arc::clone(self), token.to_owned());
            async move { inner.fly(digest, &token, expires_at).await }.boxed()
        };
        let known = |now| self.remembered(&digest, now).map(Ok);
        self.flights.join(&digest, &*self.clock, known, start).await
    }

    async fn fly(&self, digest: Digest, token: &str, expires_at: UnixSeconds) -> Answer {
        // Before the question: what is revoked while the answer travels must not count longer for it.
        let asked_at = self.clock.now();
        let answer = self.client.introspect(token).await;
        self.tell(answer.as_ref().err());
        let active = answer?.active;
        let until = (asked_at + self.ttl(active)).min(expires_at);
        self.answers.insert(digest, (active, until));
        Ok(active)
    }

    fn ttl(&self, active: bool) -> Duration {
        if active {
            self.policy.ttl
        } else {
            self.policy.negative_ttl
        }
    }

    fn tell(&self, error: Option<&ClientError>) {
        let now = Instant::now().into_std();
        let issuer = self.client.issuer();
        let Some(error) = error else {
            if let Some(away) = self.outage.worked(now) {
                tracing::info!(
                    issuer,
                    seconds = away.as_secs(),
                    "the authorization server answers again about access tokens"
                );
            }
            return;
        };
        let fail = match self.policy.fail {
            Fail::Open => "open",
            Fail::Closed => "closed",
        };
        if let Some(failures) = self.outage.failed(now) {
            tracing::warn!(issuer, %error, fail, failures, "the authorization server could not be asked about an access token");
        } else {
            tracing::debug!(issuer, %error, fail, "the authorization server could not be asked about an access token");
        }
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
