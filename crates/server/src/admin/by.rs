//! Which operator asks.

use axum::extract::FromRequestParts;
use doorward_store::{Actor, Store, StoreError, Turn};
use http::request::Parts;

use super::error::AdminError;
use crate::context::Context;
use crate::http::request::RequestInfo;

/// The operator behind a request: an extractor for what lies behind the check of the admin key.
pub(super) struct By {
    info: RequestInfo,
    actor: Actor,
    turn: Option<InTurn>,
}

/// With a request that changes something: it is its turn.
#[derive(Clone)]
pub(super) struct InTurn(pub(super) Turn);

impl By {
    /// The store in this operator's hands. When the turn is lost, it changes nothing more.
    pub(super) fn store(&self, ctx: &Context) -> Box<dyn Store> {
        let actor = self.actor.clone();
        match &self.turn {
            Some(InTurn(turn)) => ctx.acting_in_turn(turn, &self.info, actor),
            None => ctx.acting(&self.info, actor),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Ok(info) = RequestInfo::from_request_parts(parts, state).await;
        let actor = parts.extensions.get::<Actor>().cloned();
        let actor = actor.ok_or(AdminError::Unauthenticated("no admin key was looked at"))?;
        let turn: Option<InTurn> = parts.extensions.get().cloned();
        if turn.is_none() && !parts.method.is_safe() {
            return Err(StoreError::Internal("a change without its turn".to_owned()).into());
        }
        Ok(Self { info, actor, turn })
    }
}
