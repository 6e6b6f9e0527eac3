//! Where the authorization server's endpoints are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_fetch::PerProcess;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::{Clock, UnixSeconds};
use serde_json::{Map, Value};

use super::error::ClientError;
use crate::discovery::{self, MetadataError};
use crate::fetch::{Document, Fetch, FetchFailure};
use crate::moment::Moment;

const DEFAULT_TTL: Duration = Duration::from_mins(5);
const MIN_TTL: Duration = Duration::from_mins(1);
const MAX_TTL: Duration = Duration::from_hours(1);
/// How long what was known is used while the metadata cannot be had.
const MAX_STALE: Duration = Duration::from_hours(24);
/// One attempt, in up to three places.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The shortest time between two attempts that fail.
const BACKOFF: Duration = Duration::from_secs(5);

/// An endpoint of the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// RFC 6749 §3.2
    Token,
    /// RFC 7662 §2
    Introspection,
    /// RFC 7009 §2
    Revocation,
    /// Doorward's feed of revocations.
    RevocationEvents,
}

impl Endpoint {
    /// How many there are; they count from 0.
    pub(crate) const COUNT: usize = 4;

    pub(crate) const fn member(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::RevocationEvents => "revocation_events_endpoint",
        }
    }
}

/// The URLs of one metadata document; those that must not be used are left out.
#[derive(Debug, Default)]
struct Urls {
    token: Option<String>,
    introspection: Option<String>,
    revocation: Option<String>,
    revocation_events: Option<String>,
}

impl Urls {
    fn read(metadata: &Map<String, Value>, issuer: &Issuer) -> Self {
        let url = |endpoint: Endpoint| {
            let url = metadata.get(endpoint.member())?.as_str()?;
            discovery::may_be_used(issuer, url).then(|| url.to_owned())
        };
        Self {
            token: url(Endpoint::Token),
            introspection: url(Endpoint::Introspection),
            revocation: url(Endpoint::Revocation),
            revocation_events: url(Endpoint::RevocationEvents),
        }
    }

    fn get(&self, endpoint: Endpoint) -> Result<String, ClientError> {
        let url = match endpoint {
            Endpoint::Token => &self.token,
            Endpoint::Introspection => &self.introspection,
            Endpoint::Revocation => &self.revocation,
            Endpoint::RevocationEvents => &self.revocation_events,
        };
        url.clone().ok_or(ClientError::NoEndpoint(endpoint.member()))
    }
}

#[derive(Debug, Default)]
struct Known {
    /// And when they were fetched.
    urls: Option<(Arc<Urls>, Moment)>,
    fresh_for: Duration,
    failed: Option<(MetadataError, UnixSeconds)>,
}

impl Known {
    /// What can be said without asking.
    fn answer(&self, now: UnixSeconds) -> Option<Result<Arc<Urls>, MetadataError>> {
        let usable = self
            .urls
            .as_ref()
            .map(|(urls, fetched_at)| (urls, fetched_at.elapsed_at(now)))
            .filter(|(_, age)| *age < MAX_STALE);
        let failure = self
            .failed
            .as_ref()
            .filter(|(_, at)| now.since(*at) < BACKOFF && *at <= now);
        match (usable, failure) {
            (Some((urls, age)), _) if age < self.fresh_for => Some(Ok(urls.clone())),
            (Some((urls, _)), Some(_)) => Some(Ok(urls.clone())),
            (None, Some((error, _))) => Some(Err(error.clone())),
            _ => None,
        }
    }
}

/// The metadata, kept as long as HTTP says (within bounds), and through outages.
pub(crate) struct Endpoints {
    issuer: Issuer,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// One asks, the others wait for what it learns.
    asking: Mutex<PerProcess<Arc<tokio::sync::Mutex<()>>>>,
}

impl Endpoints {
    pub(crate) fn new(issuer: Issuer, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            fetch,
            clock,
            known: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    pub(crate) async fn url(&self, endpoint: Endpoint) -> Result<String, ClientError> {
        if let Some(answer) = self.known_answer() {
            return answer?.get(endpoint);
        }
        // Nobody can tell whether who asks is still there: the time is that of the question itself.
        let asking = tokio::time::timeout(TIMEOUT, self.asking().lock_owned()).await;
        if let Some(answer) = self.known_answer() {
            return answer?.get(endpoint);
        }
        // Held until something is learnt.
        let found = match &asking {
            // Whatever the transport does: everybody else waits for this.
            Ok(_) => tokio::time::timeout(TIMEOUT, self.ask()).await.ok(),
            Err(_) => None,
        };
        let found = found.unwrap_or_else(|| {
            let failure = FetchFailure::new("the authorization server did not answer in time");
            Err(MetadataError::Fetch(failure))
        });
        self.learn(found)?.get(endpoint)
    }

    async fn ask(&self) -> Result<(Urls, Option<Duration>), MetadataError> {
        discovery::discover(&self.issuer, &*self.fetch, |metadata, document: &Document| {
            Ok((Urls::read(metadata, &self.issuer), document.fresh_for))
        })
        .await
    }

    fn learn(
        &self,
        found: Result<(Urls, Option<Duration>), MetadataError>,
    ) -> Result<Arc<Urls>, ClientError> {
        // Before the lock: see `Clock::now`.
        let now = Moment::now(&*self.clock);
        let mut known = self.known();
        match found {
            Ok((urls, fresh_for)) => {
                let ttl = fresh_for.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
                let urls = Arc::new(urls);
                *known = Known {
                    urls: Some((urls.clone(), now)),
                    fresh_for: ttl,
                    failed: None,
                };
                Ok(urls)
            }
            Err(error) => {
                known.failed = Some((error.clone(), now.time));
                match known.answer(now.time) {
                    Some(Ok(urls)) => {
                        tracing::warn!(issuer = %self.issuer, %error, "keeping the known endpoints");
                        Ok(urls)
                    }
                    _ => Err(error.into()),
                }
            }
        }
    }

    fn asking(&self) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asking.get())
    }

    fn known_answer(&self) -> Option<Result<Arc<Urls>, MetadataError>> {
        // Before the lock: see `Clock::now`.
        let now = self.clock.now();
        self.known().answer(now)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
