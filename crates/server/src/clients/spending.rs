//! What counts once: a client's assertion, and what came with it.

use doorward_store::{Actor, Spend, StoreError};

use super::authentication::{AuthenticatedClient, failed};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;

/// Uses up the assertion of a client, if it sent one.
/// One that was used before proves nothing.
pub(crate) async fn spend_assertion(
    ctx: &Context,
    info: &RequestInfo,
    client: &AuthenticatedClient,
) -> Result<(), TokenError> {
    let Some(assertion) = client.unspent() else {
        return Ok(());
    };
    if spend_one(ctx, info, client.actor(), assertion).await? {
        return Ok(());
    }
    Err(failed().with_internal("the assertion was used before").into())
}

/// Uses up an assertion that somebody showed; `false` when it was used up before.
pub(crate) async fn spend_one(
    ctx: &Context,
    info: &RequestInfo,
    actor: Actor,
    assertion: Spend,
) -> Result<bool, StoreError> {
    if ctx.store.spend(&[assertion]).await? {
        return Ok(true);
    }
    // Who has one can send it as often as they like: the store looks once more, and writes it down, once a minute.
    if ctx.audit.is_first_replay(&actor) {
        ctx.acting(info, actor).spend(&[assertion]).await?;
    }
    info.note_told();
    Ok(false)
}

/// Uses up the assertion of a client together with what else the request has that counts once; `false` when something of
/// that was used up before.
pub(crate) async fn spend_all(
    ctx: &Context,
    info: &RequestInfo,
    client: &AuthenticatedClient,
    others: &[Spend],
) -> Result<bool, TokenError> {
    let spends: Vec<Spend> = client
        .unspent()
        .into_iter()
        .chain(others.iter().copied())
        .collect();
    if spends.is_empty() || ctx.store.spend(&spends).await? {
        return Ok(true);
    }
    // Nothing was used up. The assertion comes first: without it nobody has asked.
    spend_assertion(ctx, info, client).await?;
    Ok(false)
}
