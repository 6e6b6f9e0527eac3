//! Which operator asks.

use axum::extract::FromRequestParts;
use doorward_store::{Actor, Store};
use http::request::Parts;

use super::error::AdminError;
use crate::context::Context;
use crate::http::request::RequestInfo;

/// The operator behind a request: an extractor for what lies behind the check of the admin key.
pub(super) struct By {
    info: RequestInfo,
    actor: Actor,
}

impl By {
    /// The store in this operator's hands.
    pub(super) fn store(&self, ctx: &Context) -> Box<dyn Store> {
        ctx.acting(&self.info, self.actor.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Ok(info) = RequestInfo::from_request_parts(parts, state).await;
        let actor = parts.extensions.get::<Actor>().cloned();
        let actor = actor.ok_or(AdminError::Unauthenticated)?;
        Ok(Self { info, actor })
    }
}
