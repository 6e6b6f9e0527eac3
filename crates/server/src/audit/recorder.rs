//! Writes down refusals, after the fact.

use std::sync::Arc;

use doorward_oauth::time::Clock;
use doorward_store::{Actor, AuditAction, AuditEvent, Store, UserId};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::http::metrics::Metrics;
use crate::http::request::RequestInfo;
use crate::random::Random;

/// Refusals that may wait to be written at a time. One more is counted and lost: no request waits for it.
const MOST_WAITING: u32 = 256;
/// Accounts of which it is remembered when a throttled attempt was last written down.
const THROTTLED_ACCOUNTS: usize = 1024;
/// One throttled attempt on an account is written down in so many seconds: they cost who makes them nothing.
const THROTTLED_EVERY: i64 = 60;

/// What was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// What was asked for.
    pub(crate) target: Option<String>,
    /// The person that it is about.
    pub(crate) user: Option<UserId>,
    /// The client that it is about.
    pub(crate) client_id: Option<String>,
    /// The resource that it is about.
    pub(crate) resource: Option<String>,
    /// The answer's HTTP status.
    pub(crate) status: Option<u16>,
}

/// Writes down refusals, after the fact.
pub struct Recorder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Metrics,
    waiting: Arc<Semaphore>,
    throttled: Cache<UserId, i64>,
}

impl Recorder {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: Metrics,
    ) -> Self {
        Self {
            store,
            clock,
            random,
            metrics,
            waiting: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            throttled: Cache::new(THROTTLED_ACCOUNTS),
        }
    }

    /// Hands a refusal over to be written. Never waits.
    pub(crate) fn refuse(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        action: AuditAction,
        why: &str,
        refusal: Refusal,
    ) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            self.metrics.audit_dropped();
            return;
        };
        let event = self.event(info, actor, action, why, refusal);
        let (store, metrics) = (Arc::clone(&self.store), self.metrics.clone());
        tokio::spawn(async move {
            if let Err(error) = store.record(event).await {
                metrics.audit_dropped();
                tracing::warn!(%error, "a refusal was not written down");
            }
            drop(place);
        });
    }

    /// An attempt to sign in to an account that is there.
    pub(crate) fn login_refused(&self, info: &RequestInfo, user: UserId, why: &'static str) {
        if why == "throttled" && !self.is_first(user) {
            return;
        }
        let refusal = Refusal {
            user: Some(user),
            ..Refusal::default()
        };
        self.refuse(info, &Actor::Anyone, AuditAction::LoginRefused, why, refusal);
    }

    /// Waits until everything that was handed over is written.
    pub async fn settled(&self) {
        drop(self.waiting.acquire_many(MOST_WAITING).await);
    }

    fn is_first(&self, user: UserId) -> bool {
        let now = self.clock.now().seconds();
        let again = self
            .throttled
            .get(&user)
            .is_some_and(|at| (0..THROTTLED_EVERY).contains(&(now - at)));
        if !again {
            self.throttled.insert(user, now);
        }
        !again
    }

    fn event(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        action: AuditAction,
        why: &str,
        refusal: Refusal,
    ) -> AuditEvent {
        let acting_client = match actor {
            Actor::Client(client_id) | Actor::PublicClient(client_id) => Some(client_id.clone()),
            _ => None,
        };
        let mut detail = serde_json::Map::new();
        if let Some(status) = refusal.status {
            detail.insert("status".to_owned(), status.into());
        }
        AuditEvent {
            id: self.random.uuid_v7(self.clock.as_ref()),
            at: self.clock.now(),
            action,
            refusal: Some(why.to_owned()),
            actor: actor.kind(),
            actor_id: actor.id(),
            client_id: refusal.client_id.or(acting_client),
            grant: None,
            subject: refusal.user.map(|user| user.0.to_string()),
            resource: refusal.resource,
            target: refusal.target,
            request_id: Some(info.id.to_string()),
            address: Some(info.address.to_string()),
            detail,
        }
    }
}
