//! Who did what: every change names its origin, and what is refused is written down afterwards.
//!
//! A handler that changes something takes the store as its caller uses it, `ctx.acting(&info, who)`; the store writes the
//! event in the transaction of the change. What a proven caller is refused changes nothing, so the
//! [`Recorder`] writes it when the answer is on its way. What it does not write by itself it counts, and a job writes the counts.

mod counts;
mod once;
mod recorder;

use doorward_oauth::time::Clock;
use doorward_store::{Actor, ActorKind, AuditAction, AuditEvent, Origin, Store, Turn};

pub use recorder::Recorder;
pub(crate) use recorder::Refusal;

use crate::context::Context;
use crate::http::request::RequestInfo;
use crate::random::Random;

impl Context {
    /// The store, in the hands of who sent a request.
    pub(crate) fn acting(&self, info: &RequestInfo, actor: Actor) -> Box<dyn Store> {
        self.store.acting(self.origin(info, actor))
    }

    /// The same, as long as it has this turn.
    pub(crate) fn acting_in_turn(&self, turn: &Turn, info: &RequestInfo, actor: Actor) -> Box<dyn Store> {
        self.store.acting_in_turn(turn, self.origin(info, actor))
    }

    fn origin(&self, info: &RequestInfo, actor: Actor) -> Origin {
        Origin {
            event: self.random.uuid_v7(self.clock.as_ref()),
            at: self.now(),
            actor,
            request_id: Some(info.id.clone()),
            address: Some(info.address),
        }
    }

    /// The store, in the hands of a job.
    pub(crate) fn as_system(&self) -> Box<dyn Store> {
        self.store
            .acting(system(self.random.as_ref(), self.clock.as_ref()))
    }
}

/// Something that the server itself did, beside the operations of the store.
pub(crate) fn own_event(action: AuditAction, random: &dyn Random, clock: &dyn Clock) -> AuditEvent {
    AuditEvent {
        id: random.uuid_v7(clock),
        at: clock.now(),
        action: action.into(),
        refusal: None,
        actor: ActorKind::System.into(),
        actor_id: None,
        client_id: None,
        grant: None,
        subject: None,
        resource: None,
        target: None,
        request_id: None,
        address: None,
        detail: serde_json::Map::new(),
    }
}

/// The server itself.
pub(crate) fn system(random: &dyn Random, clock: &dyn Clock) -> Origin {
    Origin {
        event: random.uuid_v7(clock),
        at: clock.now(),
        actor: Actor::System,
        request_id: None,
        address: None,
    }
}
