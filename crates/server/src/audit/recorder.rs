//! Writes down what is no operation of the store, after the fact: refusals, and settings that were read again. A refusal
//! has a line of its own, or is counted for one: there is none without.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_oauth::time::{Clock, UnixSeconds};
use doorward_store::{Actor, ActorKind, AuditAction, AuditEvent, Spend, Store, StoreError, Stored, UserId};
use tokio::sync::Semaphore;

use super::counts::{Count, Counts, Kind};
use super::once::{First, OnceAMinute};
use super::own_event;
use crate::http::metrics::Metrics;
use crate::http::request::{Mistaken, RequestInfo};
use crate::random::Random;

/// Refusals of each queue that may wait to be written at a time. One more is counted and has no line: no request waits for it.
const MOST_WAITING: u32 = 256;
/// Accounts of which it is remembered when a throttled attempt was last written down.
const THROTTLED_ACCOUNTS: usize = 1024;
/// Refusals of which it is remembered when they were last written down.
const REPEATED_REFUSALS: usize = 4096;
/// Clients for which a wrong credential was shown, of which it is remembered when that was last written down. Only those
/// that an operator made: strangers cannot make more of them.
const MISTAKEN_CLIENTS: usize = 4096;

/// The status of what is refused before the route has a say: the method, the size, the host (RFC 9110 §15.5.6, §15.5.14,
/// §15.5.20). Every route would make a kind of each.
const ON_EVERY_ROUTE: [u16; 3] = [405, 413, 421];
/// The route of those.
const ANY_ROUTE: &str = "any";
/// The reason in the line of refusals of more kinds than are told apart.
const OTHERS: &str = "others";

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
    counts: Arc<Mutex<Counts>>,
    /// Lines of what was counted, until the database has them. One at a time writes them.
    unwritten: tokio::sync::Mutex<Vec<AuditEvent>>,
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
            counts: Arc::default(),
            unwritten: tokio::sync::Mutex::default(),
        }
    }

    /// Counts a refusal that has no line of its own.
    pub(crate) fn count(&self, info: &RequestInfo, actor: ActorKind, why: &'static str, status: Option<u16>) {
        info.note_told();
        add(&self.counts, kind(info, actor, why, status), self.clock.now());
    }

    /// Writes down what was counted, a line for each kind. What the database does not take now stays, with its id, to be
    /// written first in the next run; what comes meanwhile is counted together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_counts(&self) -> Result<(), StoreError> {
        let mut unwritten = self.unwritten.lock().await;
        self.write_all(&mut unwritten).await?;
        let counted = locked(&self.counts).take();
        unwritten.extend(counted.map(|(actor, kind, count)| self.line(actor, kind, count)));
        self.write_all(&mut unwritten).await
    }

    async fn write_all(&self, lines: &mut Vec<AuditEvent>) -> Result<(), StoreError> {
        while let Some(line) = lines.last() {
            self.store.record(line.clone()).await?;
            lines.pop();
        }
        Ok(())
    }

    /// Hands a refusal over to be written, the same of the same actor once a minute; others are counted. Never waits.
    pub(crate) fn refuse(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        action: AuditAction,
        why: &'static str,
        refusal: Refusal,
    ) {
        info.note_told();
        let kind = kind(info, actor.kind(), why, refusal.status);
        let places = match actor.client_id() {
            Some(_) => &self.of_clients,
            None => &self.of_people,
        };
        let Some(first) = self.first(actor, why, &refusal) else {
            return add(&self.counts, kind, self.clock.now());
        };
        let event = self.event(info, actor, action, why, refusal);
        self.write(event, places, Some(first), Some(kind));
    }

    /// Hands over that somebody showed a wrong credential for a client that an operator made, or for an operator: once a
    /// minute for each of them, whatever the credentials, so that strangers make no rows by trying. Others are counted. Never
    /// waits.
    pub(crate) fn refuse_stranger(
        &self,
        info: &RequestInfo,
        mistaken: &Mistaken,
        why: &'static str,
        refusal: Refusal,
    ) {
        info.note_told();
        let kind = kind(info, ActorKind::Anyone, why, refusal.status);
        let Some(first) = self.mistaken.first(mistaken, self.clock.now()) else {
            return add(&self.counts, kind, self.clock.now());
        };
        let (client_id, places) = match mistaken {
            Mistaken::Client(client_id) => (Some(client_id.clone()), &self.of_clients),
            Mistaken::Operator => (None, &self.of_people),
        };
        let refusal = Refusal { client_id, ..refusal };
        let action = AuditAction::RequestRefused;
        let event = self.event(info, &Actor::Anyone, action, why, refusal);
        self.write(event, places, Some(first), Some(kind));
    }

    /// Hands over which settings were read again, by their names. Never waits.
    pub(crate) fn reloaded(&self, changed: &[String], at_next_start: &[String]) {
        let action = AuditAction::SettingsReloaded;
        let mut event = own_event(action, self.random.as_ref(), self.clock.as_ref());
        event.detail.insert("changed".to_owned(), changed.into());
        let waits = at_next_start.into();
        event.detail.insert("at_next_start".to_owned(), waits);
        self.write(event, &self.of_people, None, None);
    }

    fn write(&self, event: AuditEvent, places: &Arc<Semaphore>, first: Option<First>, refused: Option<Kind>) {
        let (store, action) = (Arc::clone(&self.store), event.action.clone());
        let writing = async move { store.record(event).await };
        self.hand_over(writing, action, places, first, refused);
    }

    /// A refusal that loses its line here is counted, and the next one is the first of its minute.
    fn hand_over(
        &self,
        writing: impl Future<Output = Result<(), StoreError>> + Send + 'static,
        action: Stored<AuditAction>,
        places: &Arc<Semaphore>,
        first: Option<First>,
        refused: Option<Kind>,
    ) {
        let (counts, metrics, now) = (Arc::clone(&self.counts), self.metrics.clone(), self.clock.now());
        let lost = move || {
            if let Some(first) = first {
                first.take_back();
            }
            if let Some(kind) = refused {
                add(&counts, kind, now);
            }
            metrics.audit_dropped();
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return lost();
        };
        tokio::spawn(async move {
            if let Err(error) = writing.await {
                lost();
                tracing::warn!(action = action.as_str(), %error, "an event was not written down");
            }
            drop(place);
        });
    }

    /// An attempt to sign in. To an account that is not there it is counted.
    pub(crate) fn login_refused(&self, info: &RequestInfo, user: Option<UserId>, why: &'static str) {
        let Some(user) = user else {
            return self.count(info, ActorKind::Anyone, why, None);
        };
        info.note_told();
        let kind = kind(info, ActorKind::Anyone, why, None);
        let first = if why == "throttled" {
            let Some(first) = self.throttled.first(&user, self.clock.now()) else {
                return add(&self.counts, kind, self.clock.now());
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
        self.write(event, &self.of_people, first, Some(kind));
    }

    /// Hands over that an assertion came again, which was used up before. The store looks once more, and writes it down, once
    /// a minute for each who sends some: who has one can send it as often as they like. Others are counted. Never waits.
    pub(crate) fn replayed(
        &self,
        info: &RequestInfo,
        actor: &Actor,
        acting: Box<dyn Store>,
        assertion: Spend,
    ) {
        info.note_told();
        let kind = kind(info, actor.kind(), "used_before", None);
        let Some(first) = self.first(actor, kind.reason, &Refusal::default()) else {
            return add(&self.counts, kind, self.clock.now());
        };
        let writing = async move { acting.spend(&[assertion]).await.map(drop) };
        let action = AuditAction::AssertionReplayed;
        self.hand_over(writing, action.into(), &self.of_clients, Some(first), Some(kind));
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

    fn line(&self, actor: ActorKind, kind: Option<Kind>, count: Count) -> AuditEvent {
        let action = AuditAction::RefusalsCounted;
        let mut event = own_event(action, self.random.as_ref(), self.clock.as_ref());
        let mut tell = |name: &str, value| event.detail.insert(name.to_owned(), value);
        tell("count", count.number.into());
        tell("first_at", count.first_at.seconds().into());
        tell("last_at", count.last_at.seconds().into());
        if let Some(status) = kind.as_ref().and_then(|kind| kind.status) {
            tell("status", status.into());
        }
        let (reason, target) = match kind {
            Some(kind) => (kind.reason, Some(kind.route)),
            None => (OTHERS, None),
        };
        event.actor = actor.into();
        event.refusal = Some(reason.to_owned());
        event.target = target;
        event
    }
}

fn kind(info: &RequestInfo, actor: ActorKind, reason: &'static str, status: Option<u16>) -> Kind {
    let anywhere = status.is_some_and(|status| ON_EVERY_ROUTE.contains(&status));
    let route = if anywhere { ANY_ROUTE } else { info.route() };
    Kind {
        actor,
        route: route.to_owned(),
        reason,
        status,
    }
}

fn add(counts: &Mutex<Counts>, kind: Kind, now: UnixSeconds) {
    locked(counts).add(kind, now);
}

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
