//! What is written down of an operation: composed here for both engines, out of the operation and its outcome.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{AuditAction, AuditEvent, Grant, GrantId, Origin, UserId};

pub(crate) use grants::{
    approved, burned, consents_forgotten, database_restored, device_denied, everything_ended, grants_ended,
    issuer_changed, redeemed, rotated, secrets_replaced, spent, token_revoked,
};
pub(crate) use keys::{
    admin_key_added, admin_key_deleted, resealed, secret_created, signing_key_added, signing_key_replaced,
    signing_keys_deleted,
};
pub(crate) use records::{
    assertion_audience, assertion_audience_deleted, assertion_audience_updated, client_created,
    client_deleted, client_disabled, client_updated, initial_token, initial_token_deleted, registered,
    registered_with_token, resource, resource_deleted, resource_updated, session_ended, session_started,
    subject_linked, subject_unlinked, trusted_issuer, trusted_issuer_deleted, trusted_issuer_updated, user,
    user_deleted, user_updated,
};
pub(crate) use sweep::removed;

mod grants;
mod keys;
mod records;
mod sweep;

/// Text of others, for example a refused `client_id`, is cut off here, in bytes. What is stored has shorter names
/// ([`MAX_CLIENT_ID`](crate::MAX_CLIENT_ID)), and is found by them.
const LONGEST_TEXT: usize = 2048;

/// The event of an operation, if there is one to be written.
type Drafted = Option<Draft>;

/// The events of an operation: one for each record that it changed.
#[derive(Debug)]
pub(crate) struct Drafts(Vec<Draft>);

impl From<Draft> for Drafts {
    fn from(draft: Draft) -> Self {
        Self(vec![draft])
    }
}

impl From<Option<Draft>> for Drafts {
    fn from(draft: Option<Draft>) -> Self {
        Self(draft.into_iter().collect())
    }
}

impl From<[Option<Draft>; 2]> for Drafts {
    fn from(drafts: [Option<Draft>; 2]) -> Self {
        Self(drafts.into_iter().flatten().collect())
    }
}

impl From<Vec<Draft>> for Drafts {
    fn from(drafts: Vec<Draft>) -> Self {
        Self(drafts)
    }
}

/// Whose hands a store is in.
#[derive(Debug)]
pub(crate) struct Hands {
    origin: Origin,
    /// How many events were made in them: each has an id of its own.
    events: AtomicU32,
}

impl Hands {
    pub(crate) const fn new(origin: Origin) -> Self {
        Self {
            origin,
            events: AtomicU32::new(0),
        }
    }

    /// What is to be written.
    pub(crate) fn events(&self, drafts: impl Into<Drafts>) -> impl Iterator<Item = AuditEvent> {
        let Drafts(drafts) = drafts.into();
        drafts.into_iter().filter_map(|draft| self.event(draft))
    }

    fn event(&self, draft: Draft) -> Option<AuditEvent> {
        let event = draft.by(&self.origin)?;
        let before = self.events.fetch_add(1, Ordering::Relaxed);
        // The last bits of a UUID of version 7 are random.
        let id = Uuid::from_u128(event.id.as_u128().wrapping_add(before.into()));
        Some(AuditEvent { id, ..event })
    }
}

/// An event to be, but for who and when.
#[derive(Debug)]
pub(crate) struct Draft {
    action: AuditAction,
    refusal: Option<&'static str>,
    /// Whether the refused one showed something that nobody else has.
    proven: bool,
    client_id: Option<String>,
    grant: Option<GrantId>,
    subject: Option<String>,
    resource: Option<String>,
    target: Option<String>,
    detail: Map<String, Value>,
}

impl Draft {
    fn new(action: AuditAction) -> Self {
        Self {
            action,
            refusal: None,
            proven: false,
            client_id: None,
            grant: None,
            subject: None,
            resource: None,
            target: None,
            detail: Map::new(),
        }
    }

    fn refused(mut self, why: &'static str) -> Self {
        self.refusal = Some(why);
        self
    }

    /// A refusal that is worth a row whoever it is: what was shown can be had only once.
    fn proven(mut self) -> Self {
        self.proven = true;
        self
    }

    fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned()).filter(|client_id| !client_id.is_empty());
        self
    }

    fn person(mut self, user: UserId) -> Self {
        self.subject = (!user.is_nobody()).then(|| user.0.to_string());
        self
    }

    fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    fn of_grant(mut self, grant: &Grant) -> Self {
        self.grant = Some(grant.id);
        self.subject = Some(grant.subject.clone());
        self.resource = Some(grant.resource.clone());
        self.client(&grant.client_id)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    /// How many grants ended by the way.
    fn with_ended(self, grants: u64) -> Self {
        if grants == 0 {
            return self;
        }
        self.with("grants_ended", grants)
    }

    /// The event. `None` for what a stranger was refused.
    fn by(self, origin: &Origin) -> Option<AuditEvent> {
        if self.refusal.is_some() && !self.proven && !origin.actor.is_proven() {
            return None;
        }
        Some(AuditEvent {
            id: origin.event,
            at: origin.at,
            action: self.action.into(),
            refusal: self.refusal.map(str::to_owned),
            actor: origin.actor.kind().into(),
            actor_id: origin.actor.id().map(bounded),
            client_id: self
                .client_id
                .or_else(|| origin.actor.client_id().cloned())
                .map(bounded),
            grant: self.grant,
            subject: self.subject.map(bounded),
            resource: self.resource.map(bounded),
            target: self.target.map(bounded),
            request_id: origin.request_id.as_deref().map(str::to_owned),
            address: origin.address.map(|address| address.to_string()),
            detail: self.detail,
        })
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    // PostgreSQL cannot store it.
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    text
}

/// What [`crate::Store::record`] was given, within the bounds.
pub(crate) fn checked(event: AuditEvent) -> AuditEvent {
    AuditEvent {
        refusal: event.refusal.map(bounded),
        actor_id: event.actor_id.map(bounded),
        client_id: event.client_id.map(bounded),
        subject: event.subject.map(bounded),
        resource: event.resource.map(bounded),
        target: event.target.map(bounded),
        request_id: event.request_id.map(bounded),
        ..event
    }
}
