use std::any::Any;
use std::collections::{HashMap, hash_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_oauth::time::{Clock, UnixSeconds};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use quick_cache::sync::Cache;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::cache::{Entry, Failure, Fetched};
use crate::client::Clients;
use crate::error::FetchError;
use crate::form::{FormAnswer, FormRequest};
use crate::policy::{FetchPolicy, Limits};
use crate::process::PerProcess;
use crate::request::{self, Answer};
use crate::resolver::{Resolver, SystemResolver};
use crate::stream::{EventStream, StreamRequest};
use crate::target::Target;

/// Hosts without a request are forgotten when the table reaches this size.
const IDLE_HOSTS: usize = 256;

type Outcome = Result<Arc<Fetched>, FetchError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// What a request holds until it is over.
pub type Held = Box<dyn Any + Send>;

type Admission = Arc<dyn Fn() -> Result<Held, FetchError> + Send + Sync>;

/// Fetches JSON documents from addresses that others chose. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
    admission: Option<Admission>,
}

struct Inner {
    clients: Clients,
    policy: Arc<FetchPolicy>,
    clock: Arc<dyn Clock>,
    cache: Cache<Key, Entry>,
    flights: Mutex<PerProcess<HashMap<Key, Flight>>>,
    hosts: Mutex<PerProcess<Hosts>>,
}

/// What is under way, by host and port.
#[derive(Default)]
struct Hosts {
    /// Of all together; made with the first.
    slots: Option<Arc<Semaphore>>,
    known: HashMap<(String, u16), Host>,
}

/// The requests to one host and port. Whoever holds a slot, or waits for one, holds a place.
#[derive(Clone)]
struct Host {
    places: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    slots_of_all: Arc<Semaphore>,
}

/// The body bound is part of the key: what is too large for one caller is not for another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    url: String,
    max_body: usize,
}

impl Key {
    fn new(url: &str, limits: &Limits) -> Self {
        Self {
            url: url.to_owned(),
            max_body: limits.max_body,
        }
    }
}

impl Fetcher {
    /// A fetcher that uses the system's resolver. Reads the system's certificates and the policy's.
    ///
    /// # Errors
    /// [`FetchError::Setup`] when the policy's certificates cannot be read or the HTTP client not be built.
    pub fn new(policy: FetchPolicy, clock: Arc<dyn Clock>) -> Result<Self, FetchError> {
        Self::with_resolver(policy, clock, Arc::new(SystemResolver::default()))
    }

    /// A fetcher with a resolver of one's own. Its answers are checked like the system's.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_resolver(
        policy: FetchPolicy,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, FetchError> {
        let policy = Arc::new(policy);
        let inner = Inner {
            clients: Clients::new(&policy, resolver)?,
            clock,
            cache: Cache::new(policy.cache_entries),
            flights: Mutex::default(),
            hosts: Mutex::default(),
            policy,
        };
        Ok(Self {
            inner: Arc::new(inner),
            admission: None,
        })
    }

    /// The same fetcher, with its cache and its bounds, for somebody who may not make this program ask as often as it likes.
    /// `admission` is asked before each request to a server: not for what the cache has, nor to join a request that is under
    /// way. What it gives is held until that request is over, whoever goes away meanwhile; its error
    /// ([`FetchError::NotAdmitted`] or [`FetchError::Busy`]) is the answer. It must not wait, nor use this fetcher.
    #[must_use]
    pub fn admitting(
        &self,
        admission: impl Fn() -> Result<Held, FetchError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            admission: Some(Arc::new(admission)),
        }
    }

    fn admit(&self) -> Result<Option<Held>, FetchError> {
        self.admission.as_ref().map(|admission| admission()).transpose()
    }

    /// The document at `url`: from the cache while it is fresh, otherwise asked for (with its entity tag, if
    /// it had one). Callers who want the same document at the same time share one request. A failure is
    /// remembered for [`Limits::negative_ttl`].
    ///
    /// # Errors
    /// Every [`FetchError`] but [`FetchError::Setup`].
    pub async fn get_json(&self, url: &str, limits: &Limits) -> Outcome {
        let target = Target::parse(url, &self.inner.policy)?;
        let key = Key::new(url, limits);
        if let Some(answer) = self.cached(&key, self.inner.clock.now(), limits) {
            return answer;
        }
        self.join_flight(key, target, limits, true).await
    }

    /// Like [`Fetcher::get_json`], but asks the server whatever the cache holds, and any cache on the way (for example
    /// because a key is missing in a key set). It joins a request that is under way. The caller limits how often.
    ///
    /// # Errors
    /// As [`Fetcher::get_json`].
    pub async fn get_json_fresh(&self, url: &str, limits: &Limits) -> Outcome {
        let target = Target::parse(url, &self.inner.policy)?;
        self.join_flight(Key::new(url, limits), target, limits, false)
            .await
    }

    /// Posts a form, once, and returns the answer whatever its status. Nothing is cached or shared; the
    /// exchange ends when the caller goes away. Of `limits`, `max_body` and `timeout` count.
    ///
    /// # Errors
    /// Every [`FetchError`] but [`FetchError::Setup`], [`FetchError::Status`] and [`FetchError::NotJson`].
    pub async fn post_form(&self, form: FormRequest<'_>, limits: &Limits) -> Result<FormAnswer, FetchError> {
        let inner = &self.inner;
        let target = Target::parse(form.url, &inner.policy)?;
        let _held = self.admit()?;
        let _slots = inner.slots(&target).await?;
        let exchange = async {
            let route = inner.clients.route(&target).await?;
            request::post(route, &inner.policy, &target, &form, limits).await
        };
        let answer = tokio::time::timeout(limits.timeout, exchange).await;
        answer.unwrap_or(Err(FetchError::Timeout))
    }

    /// Asks for server-sent events, and returns the body as soon as the head of the answer is good. Nothing is cached or
    /// shared, and once the head is there the stream takes no slot: the caller bounds how many there are.
    ///
    /// # Errors
    /// Every [`FetchError`] but [`FetchError::Setup`], [`FetchError::NotJson`] and [`FetchError::TooLarge`].
    pub async fn get_stream(&self, request: StreamRequest<'_>) -> Result<EventStream, FetchError> {
        let inner = &self.inner;
        let target = Target::parse(request.url, &inner.policy)?;
        let _held = self.admit()?;
        let _slots = inner.slots(&target).await?;
        let head = async {
            let route = inner.clients.route(&target).await?;
            request::open(route, &inner.policy, &target, &request).await
        };
        let answer = tokio::time::timeout(request.head_timeout, head).await;
        answer.unwrap_or(Err(FetchError::Timeout))
    }

    /// The caller found the document to be useless: keep it no longer than a failure.
    pub fn distrust(&self, url: &str, limits: &Limits) {
        let key = Key::new(url, limits);
        if let Some(document) = self.inner.cache.peek(&key).and_then(|entry| entry.document) {
            let soon = self.inner.clock.now() + limits.negative_ttl;
            let document = Fetched {
                expires_at: document.expires_at.min(soon),
                etag: None,
                ..(*document).clone()
            };
            self.inner.cache.insert(
                key,
                Entry {
                    document: Some(Arc::new(document)),
                    failure: None,
                },
            );
        }
    }

    fn cached(&self, key: &Key, now: UnixSeconds, limits: &Limits) -> Option<Outcome> {
        self.inner.cache.get(key)?.fresh(now, limits.pause)
    }

    async fn join_flight(&self, key: Key, target: Target, limits: &Limits, use_cache: bool) -> Outcome {
        let (flight, landing) = {
            // Before the lock: see `Clock::now`.
            let now = self.inner.clock.now();
            let mut flights = locked(&self.inner.flights);
            // A flight stores its answer before it leaves the table: look again while the table stands still.
            if let Some(answer) = use_cache.then(|| self.cached(&key, now, limits)).flatten() {
                return answer;
            }
            match flights.get().entry(key.clone()) {
                hash_map::Entry::Occupied(flight) => (flight.get().clone(), None),
                hash_map::Entry::Vacant(place) => {
                    let held = self.admit()?;
                    let (tell, told) = oneshot::channel();
                    let flight = told.map(|told| told.unwrap_or(Err(FetchError::Connect)));
                    let flight = place.insert(flight.boxed().shared()).clone();
                    (flight, Some(Landing::new(&self.inner, key, held, tell)))
                }
            }
        };
        // Not under the lock: a runtime that is closing drops what it is given, and with it the landing.
        if let Some(landing) = landing {
            start_flight(landing, target, *limits, !use_cache);
        }
        flight.await
    }
}

/// Runs on its own, so that the first caller may go away without ending it for the others.
fn start_flight(landing: Landing, target: Target, limits: Limits, fresh: bool) {
    tokio::spawn(async move {
        let outcome = landing.inner.fly(&landing.key, &target, &limits, fresh).await;
        if let Err(error) = &outcome {
            tracing::debug!(url = %target.url, %error, "fetch failed");
        }
        landing.land(outcome);
    });
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("policy", &self.inner.policy)
            .finish_non_exhaustive()
    }
}

/// Takes a flight off the table when it ends, however it ends, and only then lets those who wait for it know.
struct Landing {
    inner: Arc<Inner>,
    key: Key,
    tell: Option<oneshot::Sender<Outcome>>,
    _held: Option<Held>,
}

impl Landing {
    fn new(inner: &Arc<Inner>, key: Key, held: Option<Held>, tell: oneshot::Sender<Outcome>) -> Self {
        Self {
            inner: Arc::clone(inner),
            key,
            tell: Some(tell),
            _held: held,
        }
    }

    fn land(mut self, outcome: Outcome) {
        let tell = self.tell.take();
        drop(self);
        // Everybody may have gone away.
        tell.map(|tell| tell.send(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        locked(&self.inner.flights).get().remove(&self.key);
    }
}

impl Inner {
    /// Asks, and stores the answer.
    async fn fly(&self, key: &Key, target: &Target, limits: &Limits, fresh: bool) -> Outcome {
        let known = self.cache.peek(key).and_then(|entry| entry.document);
        // Where nobody was asked, nothing was learnt about the document: that is not remembered.
        let slots = self.slots(target).await?;
        let asking = self.ask(target, known.as_deref(), limits, fresh);
        let answer = tokio::time::timeout(limits.timeout, asking).await;
        drop(slots);
        let now = self.clock.now();
        match answer.unwrap_or(Err(FetchError::Timeout)) {
            Ok(answer) => self.keep(key, answer, known.as_deref(), now),
            Err(FetchError::Busy) => Err(FetchError::Busy),
            Err(error) => {
                // An outage costs neither what is still fresh nor the entity tag; an answer does.
                let document = known.filter(|_| error.is_transient());
                let failure = Some(Failure {
                    error: error.clone(),
                    failed_at: now,
                    expires_at: now + limits.negative_ttl,
                });
                self.cache.insert(key.clone(), Entry { document, failure });
                Err(error)
            }
        }
    }

    async fn ask(
        &self,
        target: &Target,
        known: Option<&Fetched>,
        limits: &Limits,
        fresh: bool,
    ) -> Result<Answer, FetchError> {
        let etag = known.and_then(|document| document.etag.as_deref());
        let route = self.clients.route(target).await?;
        request::get(route, &self.policy, target, etag, fresh, limits).await
    }

    fn keep(&self, key: &Key, answer: Answer, known: Option<&Fetched>, now: UnixSeconds) -> Outcome {
        let (body, etag, lifetime) = match answer {
            Answer::Document { body, etag, lifetime } => (body, etag, lifetime),
            Answer::Unchanged { lifetime } => {
                let known = known.ok_or(FetchError::Status(304))?;
                (known.body.clone(), known.etag.clone(), lifetime)
            }
        };
        let expires_at = lifetime.map_or(now, |lifetime| now + lifetime);
        let document = Arc::new(Fetched {
            body,
            fetched_at: now,
            expires_at,
            // What must not be stored is not asked about either.
            etag: etag.filter(|_| lifetime.is_some()),
        });
        // One that must not be stored is here for those who come with a pause; it is never fresh for anybody else.
        self.cache.insert(
            key.clone(),
            Entry {
                document: Some(document.clone()),
                failure: None,
            },
        );
        Ok(document)
    }

    /// The right to one request. Waiting for it is no fault of the server, and costs the request none of its time.
    async fn slots(&self, target: &Target) -> Result<[OwnedSemaphorePermit; 3], FetchError> {
        let Host {
            places,
            slots,
            slots_of_all,
        } = self.host(target);
        let place = places.try_acquire_owned().map_err(|_| FetchError::Busy)?;
        let acquire = async {
            // The host's slot first: those who queue for a slow host must not hold the slots of all.
            let of_host = slots.acquire_owned().await?;
            Ok([place, of_host, slots_of_all.acquire_owned().await?])
        };
        let acquired: Result<_, AcquireError> = tokio::time::timeout(self.policy.max_wait, acquire)
            .await
            .map_err(|_| FetchError::Busy)?;
        acquired.map_err(|_| FetchError::Busy)
    }

    fn host(&self, target: &Target) -> Host {
        let mut hosts = locked(&self.hosts);
        let Hosts { slots, known } = hosts.get();
        if known.len() >= IDLE_HOSTS {
            known.retain(|_, host| Arc::strong_count(&host.places) > 1);
        }
        let policy = &self.policy;
        let places = policy
            .max_concurrent_per_host
            .saturating_add(policy.max_waiting_per_host)
            .min(Semaphore::MAX_PERMITS);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let slots_of_all = slots.get_or_insert_with(|| semaphore(policy.max_concurrent));
        let new = || Host {
            places: semaphore(places),
            slots: semaphore(policy.max_concurrent_per_host),
            slots_of_all: Arc::clone(slots_of_all),
        };
        known
            .entry((target.host.clone(), target.port))
            .or_insert_with(new)
            .clone()
    }
}

/// The tables are whole after every statement, so a panic elsewhere does not make them unusable.
fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
