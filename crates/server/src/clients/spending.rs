//! What counts once: a client's assertion, and what came with it.

use doorward_store::{Actor, Spend, SpendOutcome};

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
    spend_all(ctx, info, client, &[]).await.map(drop)
}

/// Uses up the assertion of a client together with what else the request has that counts once. `false`: one of the others
/// was used up before, and nothing is used up.
pub(crate) async fn spend_all(
    ctx: &Context,
    info: &RequestInfo,
    client: &AuthenticatedClient,
    others: &[Spend],
) -> Result<bool, TokenError> {
    let spends = with_assertion(client, others);
    if spends.is_empty() {
        return Ok(true);
    }
    match ctx.store.spend(&spends).await? {
        SpendOutcome::Spent => Ok(true),
        SpendOutcome::UsedBefore(place) => refuse_assertion(ctx, info, client, place).map(|()| false),
    }
}

/// What counts once in a request: the assertion of the client first. Without it nobody has asked.
pub(crate) fn with_assertion(client: &AuthenticatedClient, others: &[Spend]) -> Vec<Spend> {
    client
        .unspent()
        .into_iter()
        .chain(others.iter().copied())
        .collect()
}

/// The refusal, when what was used up before is the assertion of the client: it stands at the first place of
/// [`with_assertion`].
pub(crate) fn refuse_assertion(
    ctx: &Context,
    info: &RequestInfo,
    client: &AuthenticatedClient,
    used_before: usize,
) -> Result<(), TokenError> {
    let Some(assertion) = client.unspent().filter(|_| used_before == 0) else {
        return Ok(());
    };
    tell_replay(ctx, info, &client.actor(), assertion);
    Err(failed().with_internal("the assertion was used before").into())
}

/// Writes down that an assertion came again, which was used up before.
pub(crate) fn tell_replay(ctx: &Context, info: &RequestInfo, actor: &Actor, assertion: Spend) {
    let acting = ctx.acting(info, actor.clone());
    ctx.audit.replayed(info, actor, acting, assertion);
}
