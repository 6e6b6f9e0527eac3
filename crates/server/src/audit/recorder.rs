//! Writes down what is no operation of the store, after the fact: refusals, and settings that were read again.

use std::sync::Arc;

use doorward_oauth::time::Clock;
use doorward_store::{Actor, ActorKind, AuditAction, AuditEvent, Spend, Store, StoreError, Stored, UserId};
use tokio::sync::Semaphore;

use super::once::{First, OnceAMinute};
use super::own_event;
use crate::http::metrics::Metrics;
use crate::http::request::{Mistaken, RequestInfo};
use crate::random::Random;

/// Refusals of each queue that may wait to be written at a time. One more is counted and lost: no request waits for it.
const MOST_WAITING: u32 = 256;
/// Accounts of which it is remembered when a throttled attempt was last written down.
const THROTTLED_ACCOUNTS: usize = 1024;
/// Refusals of which it is remembered when they were last written down.
const REPEATED_REFUSALS: usize = 4096;
/// Clients for which a wrong credential was shown, of which it is remembered when that was last written down. Only those
/// that an operator made: strangers cannot make more of them.
const MISTAKEN_CLIENTS: usize = 4096;

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
    mistaken: OnceAMinute<Mistaken>,
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
            mistaken: OnceAMinute::new(MISTAKEN_CLIENTS),
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
        let Some(first) = self.first(actor, why, &refusal) else {
            return;
        };
        self.write(self.event(info, actor, action, why, refusal), places, Some(first));
    }

    /// Hands over that somebody showed a wrong credential for a client that an operator made, or for an operator: once a
    /// minute for each of them, whatever the credentials, so that strangers make no rows by trying. Never waits.
    pub(crate) fn refuse_stranger(
        &self,
        info: &RequestInfo,
        mistaken: &Mistaken,
        why: &str,
        refusal: impl FnOnce() -> Refusal,
    ) {
        let Some(first) = self.mistaken.first(mistaken, self.clock.now()) else {
            return;
        };
        let (client_id, places) = match mistaken {
            Mistaken::Client(client_id) => (Some(client_id.clone()), &self.of_clients),
            Mistaken::Operator => (None, &self.of_people),
        };
        let refusal = Refusal {
            client_id,
            ..refusal()
        };
        let action = AuditAction::RequestRefused;
        let event = self.event(info, &Actor::Anyone, action, why, refusal);
        self.write(event, places, Some(first));
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

    fn write(&self, event: AuditEvent, places: &Arc<Semaphore>, first: Option<First>) {
        let (store, action) = (Arc::clone(&self.store), event.action.clone());
        let writing = async move { store.record(event).await };
        self.hand_over(writing, action, places, first);
    }

    /// What is lost here does not count as told.
    fn hand_over(
        &self,
        writing: impl Future<Output = Result<(), StoreError>> + Send + 'static,
        action: Stored<AuditAction>,
        places: &Arc<Semaphore>,
        first: Option<First>,
    ) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            if let Some(first) = first {
                first.take_back();
            }
            self.metrics.audit_dropped();
            return;
        };
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            if let Err(error) = writing.await {
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

    /// Hands over that an assertion came again, which was used up before. The store looks once more, and writes it down, once
    /// a minute for each who sends some: who has one can send it as often as they like. Never waits.
    pub(crate) fn replayed(&self, actor: &Actor, acting: Box<dyn Store>, assertion: Spend) {
        let Some(first) = self.first(actor, "used_before", &Refusal::default()) else {
            return;
        };
        let writing = async move { acting.spend(&[assertion]).await.map(drop) };
        let action = AuditAction::AssertionReplayed;
        self.hand_over(writing, action.into(), &self.of_clients, Some(first));
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
