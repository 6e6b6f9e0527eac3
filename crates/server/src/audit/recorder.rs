//! Writes down what is no operation of the store, after the fact: refusals, and settings that were read again.

use std::sync::Arc;

use doorward_oauth::time::Clock;
use doorward_store::{Actor, ActorKind, AuditAction, AuditEvent, Store, UserId};
use tokio::sync::Semaphore;

use super::once::{First, OnceAMinute};
use super::own_event;
use crate::http::metrics::Metrics;
use crate::http::request::RequestInfo;
use crate::random::Random;

/// Refusals of each queue that may wait to be written at a time. One more is counted and lost: no request waits for it.
const MOST_WAITING: u32 = 256;
/// Accounts of which it is remembered when a throttled attempt was last written down.
const THROTTLED_ACCOUNTS: usize = 1024;
/// Refusals of which it is remembered when they were last written down.
const REPEATED_REFUSALS: usize = 4096;

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

/// Writes down what is no operation of the store, after the fact.
pub struct Recorder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Metrics,
    /// Places for what clients are refused.
    of_clients: Arc<Semaphore>,
    /// Places for what operators and people are refused, and for attempts to sign in: no client takes them.
    of_people: Arc<Semaphore>,
    /// Attempts on a throttled account cost who makes them nothing.
    throttled: OnceAMinute<UserId>,
    refused: OnceAMinute<Repeated>,
}

/// What makes a refusal the same as another one: who, what they asked for or whom it is about, and why.
type Repeated = (ActorKind, Option<String>, Option<String>, String);

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
            of_clients: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            of_people: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            throttled: OnceAMinute::new(THROTTLED_ACCOUNTS),
            refused: OnceAMinute::new(REPEATED_REFUSALS),
        }
    }

    /// Hands a refusal over to be written, the same of the same actor once a minute. Never waits.
    pub(crate) fn refuse(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        action: AuditAction,
        why: &str,
        refusal: Refusal,
    ) {
        let places = match actor.client_id() {
            Some(_) => &self.of_clients,
            None => &self.of_people,
        };
        // Attempts to sign in have waits of their own, and nobody who makes them is known.
        let first = if *actor == Actor::Anyone {
            None
        } else {
            let Some(first) = self.first(actor, why, &refusal) else {
                return;
            };
            Some(first)
        };
        self.write(self.event(info, actor, action, why, refusal), places, first);
    }

    /// Hands over which settings were read again, by their names. Never waits.
    pub(crate) fn reloaded(&self, changed: &[String], at_next_start: &[String]) {
        let action = AuditAction::SettingsReloaded;
        let mut event = own_event(action, self.random.as_ref(), self.clock.as_ref());
        event.detail.insert("changed".to_owned(), changed.into());
        let waits = at_next_start.into();
        event.detail.insert("at_next_start".to_owned(), waits);
        self.write(event, &self.of_people, None);
    }

    /// What is lost here does not count as told.
    fn write(&self, event: AuditEvent, places: &Arc<Semaphore>, first: Option<First>) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            if let Some(first) = first {
                first.take_back();
            }
            self.metrics.audit_dropped();
            return;
        };
        let (store, metrics) = (Arc::clone(&self.store), self.metrics.clone());
        tokio::spawn(async move {
            let action = event.action.clone();
            if let Err(error) = store.record(event).await {
                if let Some(first) = first {
                    first.take_back();
                }
                metrics.audit_dropped();
                tracing::warn!(action = action.as_str(), %error, "an event was not written down");
            }
            drop(place);
        });
    }

    /// An attempt to sign in to an account that is there.
    pub(crate) fn login_refused(&self, info: &RequestInfo, user: UserId, why: &'static str) {
        let first = if why == "throttled" {
            let Some(first) = self.throttled.first(&user, self.clock.now()) else {
                return;
            };
            Some(first)
        } else {
            None
        };
        let refusal = Refusal {
            user: Some(user),
            ..Refusal::default()
        };
        let event = self.event(info, &Actor::Anyone, AuditAction::LoginRefused, why, refusal);
        self.write(event, &self.of_people, first);
    }

    /// Whether no assertion of this client came again within a minute.
    pub(crate) fn is_first_replay(&self, actor: &Actor) -> bool {
        let repeated = (actor.kind(), actor.id(), None, "used_before".to_owned());
        self.refused.is_first(&repeated, self.clock.now())
    }

    /// Waits until everything that was handed over is written.
    pub async fn settled(&self) {
        drop(self.of_clients.acquire_many(MOST_WAITING).await);
        drop(self.of_people.acquire_many(MOST_WAITING).await);
    }

    fn first(&self, actor: &Actor, why: &str, refusal: &Refusal) -> Option<First> {
        let about = refusal.target.as_ref().or(refusal.client_id.as_ref());
        let repeated = (actor.kind(), actor.id(), about.cloned(), why.to_owned());
        self.refused.first(&repeated, self.clock.now())
    }

    fn event(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        action: AuditAction,
        why: &str,
        refusal: Refusal,
    ) -> AuditEvent {
        let mut detail = serde_json::Map::new();
        if let Some(status) = refusal.status {
            detail.insert("status".to_owned(), status.into());
        }
        AuditEvent {
            id: self.random.uuid_v7(self.clock.as_ref()),
            at: self.clock.now(),
            action: action.into(),
            refusal: Some(why.to_owned()),
            actor: actor.kind().into(),
            actor_id: actor.id(),
            client_id: refusal.client_id.or_else(|| actor.client_id().cloned()),
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

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
