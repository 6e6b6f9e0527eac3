//! Opaque tokens: the authorization server says what they are (RFC 7662).

mod kind;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::claims::Actor;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::{Clock, Outage, SystemClock, UnixSeconds};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use quick_cache::sync::Cache;
use serde::Deserialize as _;
use tokio::time::Instant;

use super::{TokenVerifier, VerifierError, scope_set};
use crate::claims::{Claims, TokenClaims};
use crate::client::{ClientError, IntrospectionResponse, OAuthClient};
use crate::flights::Flights;
use crate::verify::{Rejection, VerifyError};
use crate::wait::ahead;

/// The longest token that is asked about, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// When an outage does not say how long it lasts.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Asks the authorization server about every token, and remembers the answer for a short while.
///
/// For opaque tokens, and for servers that want every use of a token to be asked about. Everything else is better off with
/// signatures: a request then waits for nobody.
pub struct IntrospectionVerifier(Arc<Inner>);

struct Inner {
    client: OAuthClient,
    /// Of which a token names one; empty for any, where the operator said so.
    audiences: Vec<String>,
    required_scopes: ScopeSet,
    skew: Duration,
    ttl: Duration,
    negative_ttl: Duration,
    clock: Arc<dyn Clock>,
    answers: Cache<Digest, Answer>,
    /// Callers with the same token share one question, and what comes of it. It goes on as long as one of them waits.
    flights: Flights<Digest, Answer>,
    /// As the log knows it.
    outage: Outage,
}

/// The SHA-256 of a token.
type Digest = [u8; 32];

#[derive(Clone)]
struct Answer {
    outcome: Result<Claims, Rejection>,
    until: UnixSeconds,
}

impl IntrospectionVerifier {
    /// Begins a verifier that asks with this client. The endpoint is the one that the metadata of its issuer names.
    pub fn builder(client: OAuthClient) -> IntrospectionVerifierBuilder {
        IntrospectionVerifierBuilder {
            client,
            audiences: Vec::new(),
            any_audience: false,
            required_scopes: Vec::new(),
            skew: Duration::from_mins(1),
            ttl: Duration::from_secs(10),
            negative_ttl: Duration::from_secs(5),
            capacity: 10_000,
            clock: Arc::new(SystemClock),
        }
    }

    async fn check(&self, token: &str) -> Result<Claims, VerifyError> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(Rejection::Malformed.into());
        }
        let inner = &self.0;
        let digest = doorward_jose::sha256(token.as_bytes());
        let answer = match inner.remembered(&digest, inner.clock.now()) {
            Some(answer) => Ok(answer),
            None => inner.ask(digest, token).await,
        };
        let answer = answer.map_err(|error| VerifyError::IntrospectionUnavailable {
            retry_after: error.retry_after().unwrap_or(RETRY_AFTER),
        })?;
        Ok(answer.outcome?)
    }
}

impl Inner {
    /// The answer that still counts.
    fn remembered(&self, digest: &Digest, now: UnixSeconds) -> Option<Answer> {
        let answer = self.answers.get(digest)?;
        let ttl = match answer.outcome {
            Ok(_) => self.ttl,
            Err(_) => self.negative_ttl,
        };
        ahead(answer.until, now, ttl).map(|_| answer)
    }

    async fn ask(self: &Arc<Self>, digest: Digest, token: &str) -> Result<Answer, ClientError> {
        let start = || {
            let (inner, token) = (Arc::clone(self), token.to_owned());
            async move { inner.fly(digest, &token).await }.boxed()
        };
        let known = |now| self.remembered(&digest, now).map(Ok);
        self.flights.join(&digest, &*self.clock, known, start).await
    }

    async fn fly(&self, digest: Digest, token: &str) -> Result<Answer, ClientError> {
        // Before the question: what is revoked while the answer travels must not count longer for it.
        let now = self.clock.now();
        let response = self.client.introspect(token).await;
        self.tell(response.as_ref().err());
        let answer = match self.judge(response?, now) {
            Ok(claims) => Answer {
                until: (now + self.ttl).min(claims.expires_at),
                outcome: Ok(Claims::from(claims)),
            },
            Err(rejection) => Answer {
                outcome: Err(rejection),
                until: now + self.negative_ttl,
            },
        };
        self.answers.insert(digest, answer.clone());
        Ok(answer)
    }

    fn tell(&self, error: Option<&ClientError>) {
        let (now, issuer) = (Instant::now().into_std(), self.client.issuer());
        let Some(error) = error else {
            if let Some(away) = self.outage.worked(now) {
                tracing::info!(issuer, seconds = away.as_secs(), "tokens are introspected again");
            }
            return;
        };
        if let Some(failures) = self.outage.failed(now) {
            tracing::warn!(issuer, %error, failures, "a token could not be introspected");
        } else {
            tracing::debug!(issuer, %error, "a token could not be introspected");
        }
    }

    fn judge(&self, response: IntrospectionResponse, now: UnixSeconds) -> Result<TokenClaims, Rejection> {
        if !response.active {
            return Err(Rejection::UnknownToken);
        }
        let issuer = self.client.issuer();
        if response.issuer.as_deref().is_some_and(|named| named != issuer) {
            return Err(Rejection::Issuer);
        }
        kind::check(&response, !self.audiences.is_empty())?;
        if !self.audiences.is_empty() && !response.audience.iter().any(|aud| self.audiences.contains(aud)) {
            return Err(Rejection::Audience);
        }
        // The server said `active`; its clock may be a little off all the same.
        if response.expires_at.is_some_and(|end| now >= end + self.skew) {
            return Err(Rejection::Expired);
        }
        if response.not_before.is_some_and(|start| start > now + self.skew) {
            return Err(Rejection::NotYetValid);
        }
        let scopes = ScopeSet::parse(response.scope.as_deref().unwrap_or_default());
        let text = |name: &str| {
            response
                .raw
                .get(name)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        let actor = response.raw.get("act").map(Actor::deserialize).transpose();
        let client_id = response.client_id.unwrap_or_else(|| "unknown".to_owned());
        let subject = response.subject.unwrap_or_else(|| client_id.clone());
        let expires_at = response.expires_at.unwrap_or(TokenClaims::NEVER);
        let mut claims = TokenClaims::new(issuer, subject, client_id, expires_at);
        claims.scopes = scopes.map_err(|_| Rejection::Claims)?;
        claims.actor = actor.map_err(|_| Rejection::Claims)?;
        claims.grant_id = text("gid");
        claims.audience = response.audience;
        claims.issued_at = response.issued_at.unwrap_or_default();
        claims.not_before = response.not_before;
        claims.jti = response.jti.unwrap_or_default();
        claims.key_thumbprint = response.key_thumbprint;
        claims.raw = response.raw.into();
        Ok(claims)
    }
}

impl TokenVerifier for IntrospectionVerifier {
    fn verify_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>> {
        Box::pin(self.check(token))
    }

    fn required_scopes(&self) -> ScopeSet {
        self.0.required_scopes.clone()
    }

    fn evict(&self, token: &str) {
        self.0.answers.remove(&doorward_jose::sha256(token.as_bytes()));
    }

    fn forget_grant(&self, grant_id: &str) {
        self.0.answers.retain(|_, answer| {
            !matches!(&answer.outcome, Ok(claims) if claims.grant_id.as_deref() == Some(grant_id))
        });
    }
}

impl fmt::Debug for IntrospectionVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionVerifier")
            .field("issuer", &self.0.client.issuer())
            .field("audiences", &self.0.audiences)
            .finish_non_exhaustive()
    }
}

/// Builds an [`IntrospectionVerifier`]. Made by [`IntrospectionVerifier::builder`].
#[derive(Clone)]
pub struct IntrospectionVerifierBuilder {
    client: OAuthClient,
    audiences: Vec<String>,
    any_audience: bool,
    required_scopes: Vec<String>,
    skew: Duration,
    ttl: Duration,
    negative_ttl: Duration,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

impl IntrospectionVerifierBuilder {
    /// An audience of which a token must name at least one. Repeated calls add audiences. There must be one, or
    /// [`any_audience`](Self::any_audience).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Takes tokens for any audience, and those of which the server names none: for a server that says `active` to this
    /// client only for tokens that are for it. What is no access token for sure is refused then: the server has to say
    /// `token_type` `Bearer` or `DPoP`.
    #[must_use]
    pub fn any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// The scopes that every request needs. Default: none.
    #[must_use]
    pub fn required_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.required_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// How long an answer counts: for that long, a revoked token is still accepted. Never past the token's end; zero asks
    /// for every request. Default: 10 s for tokens that are active, 5 s for others.
    #[must_use]
    pub fn cache_ttl(mut self, active: Duration, inactive: Duration) -> Self {
        self.ttl = active;
        self.negative_ttl = inactive;
        self
    }

    /// How many answers are remembered. Default: 10 000.
    #[must_use]
    pub fn cache_size(mut self, answers: usize) -> Self {
        self.capacity = answers;
        self
    }

    /// The clock that decides about `exp`, `nbf` and the age of answers. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings and makes the verifier. Does no I/O.
    ///
    /// # Errors
    /// A [`VerifierError`] that says which setting to change.
    pub fn build(self) -> Result<IntrospectionVerifier, VerifierError> {
        if self.audiences.iter().any(String::is_empty) {
            return Err(VerifierError::Empty("audience"));
        }
        if self.audiences.is_empty() != self.any_audience {
            return Err(VerifierError::Audience);
        }
        Ok(IntrospectionVerifier(Arc::new(Inner {
            required_scopes: scope_set(&self.required_scopes)?,
            client: self.client,
            audiences: self.audiences,
            skew: self.skew,
            ttl: self.ttl,
            negative_ttl: self.negative_ttl,
            clock: self.clock,
            answers: Cache::new(self.capacity.max(1)),
            flights: Flights::default(),
            outage: Outage::default(),
        })))
    }
}

impl fmt::Debug for IntrospectionVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionVerifierBuilder")
            .field("issuer", &self.client.issuer())
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
