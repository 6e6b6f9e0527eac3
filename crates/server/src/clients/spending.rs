//! What counts once: a client's assertion, and what came with it.

use doorward_store::Spend;

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
    let acting = ctx.acting(info, client.actor());
    if acting.spend(&[assertion], ctx.now()).await? {
        return Ok(());
    }
    info.note_told();
    Err(failed().with_internal("the assertion was used before").into())
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
    if spends.is_empty() || ctx.store.spend(&spends, ctx.now()).await? {
        return Ok(true);
    }
    // Nothing was used up. The assertion comes first: without it nobody has asked.
    spend_assertion(ctx, info, client).await?;
    Ok(false)
}
