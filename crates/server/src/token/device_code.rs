//! `grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 §3.4). A device that was approved has a code
//! with the digest of its device code; until then there is only a device that waits.

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_store::{Code, Grant, PollOutcome};

use super::redeem::{Redeemable, Redeemed};
use super::{TokenRequest, TokenResponse, narrowed, targets, unusable};
use crate::http::error::TokenError;
use crate::prefix;

const UNUSABLE: &str =
    "The device code is unknown, expired or already used; start a new device authorization request.";
/// RFC 8628 §3.5.
const SLOWER_BY: u32 = 5;

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest { ctx, parameters, .. } = *request;
    let device_code = parameters.require("device_code")?;
    if !device_code.starts_with(prefix::DEVICE_CODE) {
        return Err(unusable(UNUSABLE, "malformed"));
    }
    let digest = doorward_jose::sha256(device_code.as_bytes());
    match ctx.store.code(&digest).await? {
        Some((code, grant)) => redeem(request, &code, &grant).await,
        None => Err(poll(request, &digest).await?),
    }
}

/// Nobody has said yes. The assertion and the proof of this question are used up too: neither is good for two. A code that
/// nobody has uses nothing up, since what is used up has to be remembered.
async fn poll(request: &TokenRequest<'_>, digest: &doorward_store::Digest) -> Result<TokenError, TokenError> {
    let TokenRequest { ctx, client, .. } = *request;
    let outcome = ctx
        .store
        .poll_device(digest, client.client_id(), SLOWER_BY, ctx.now())
        .await?;
    if outcome != PollOutcome::Unknown {
        request.spend().await?;
    }
    let (code, sentence) = match outcome {
        PollOutcome::Pending => (
            ErrorCode::AuthorizationPending,
            "Nobody has decided yet; ask again after the interval.",
        ),
        PollOutcome::SlowDown => (
            ErrorCode::SlowDown,
            "The question came too soon; wait five seconds longer from now on.",
        ),
        PollOutcome::Denied => (ErrorCode::AccessDenied, "The person did not allow it."),
        PollOutcome::Expired => (
            ErrorCode::ExpiredToken,
            "Nobody decided in time; start a new device authorization request.",
        ),
        PollOutcome::Unknown => return Ok(unusable(UNUSABLE, "no such code, or one of another client")),
    };
    Ok(OAuthError::new(code, sentence).into())
}

async fn redeem(request: &TokenRequest<'_>, code: &Code, grant: &Grant) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    if code.client_id != client.client_id() {
        return Err(unusable(UNUSABLE, "the code of another client"));
    }
    if code.redeemed_at.is_some() {
        return Err(unusable(UNUSABLE, "the code was used before"));
    }
    let all = targets(ctx, grant).await?;
    let targets = narrowed(parameters, &all)?;
    request.check_bound(targets.iter())?;

    let redeemable = Redeemable {
        code,
        grant,
        all: &all,
        targets: &targets,
        replay_ends_grant: false,
    };
    match redeemable.redeem(request, UNUSABLE).await? {
        Redeemed::Answer(answer) => Ok(answer),
        Redeemed::Replayed => Err(unusable(UNUSABLE, "the code was used before")),
    }
}
