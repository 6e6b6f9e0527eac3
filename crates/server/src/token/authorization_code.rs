//! `grant_type=authorization_code` (OAuth 2.1 §4.1.3).

use doorward_oauth::parameters::Parameters;
use doorward_oauth::pkce::{CodeChallenge, verifier_is_well_formed};
use doorward_store::{Code, EndReason, Grant, GrantFilter};

use super::redeem::{Redeemable, Redeemed};
use super::{TokenRequest, TokenResponse, invalid_grant, narrowed, targets, unusable};
use crate::dpop;
use crate::http::error::TokenError;
use crate::resources::Targets;

const UNUSABLE: &str = "The code is unknown, expired or already used; start a new authorization request.";

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let digest = doorward_jose::sha256(parameters.require("code")?.as_bytes());
    let code_verifier = parameters.require("code_verifier")?;

    let Some((code, grant)) = ctx.store.code(&digest).await? else {
        return Err(unusable(UNUSABLE, "no such code"));
    };
    // A code that another client presents is left alone: its owner can still redeem it.
    if code.client_id != client.client_id() {
        return Err(unusable(UNUSABLE, "the code of another client"));
    }
    if code.redeemed_at.is_some() {
        return Err(replayed(request, &grant).await?);
    }
    let all = targets(ctx, &grant).await?;
    let targets = check_request(parameters, &code, &all)?;
    check_key(request, &code, &targets)?;
    check_code_verifier(request, code_verifier, &code).await?;

    let redeemable = Redeemable {
        code: &code,
        grant: &grant,
        all: &all,
        targets: &targets,
        replay_ends_grant: true,
    };
    match redeemable.redeem(request, UNUSABLE).await? {
        Redeemed::Answer(answer) => Ok(answer),
        // The store has ended the grant.
        Redeemed::Replayed => Err(told_of_replay(request, &grant)),
    }
}

/// What the request repeats must be what was authorized. Nothing is consumed when it is not. Gives the resources of this
/// token.
fn check_request(parameters: &Parameters, code: &Code, all: &Targets) -> Result<Targets, TokenError> {
    // OAuth 2.1 dropped the parameter here; when it is sent, it must be the same string.
    if parameters
        .get("redirect_uri")?
        .is_some_and(|redirect_uri| redirect_uri != code.redirect_uri)
    {
        return Err(invalid_grant(
            "The redirect_uri is not the one of the authorization request.",
        ));
    }
    narrowed(parameters, all)
}

/// RFC 9449 §10: a code that was asked for with `dpop_jkt` is good for that key alone.
fn check_key(request: &TokenRequest<'_>, code: &Code, targets: &Targets) -> Result<(), TokenError> {
    request.check_bound(targets.iter())?;
    if code.dpop_jkt.is_some() && code.dpop_jkt.as_deref() != request.key_thumbprint() {
        return Err(dpop::invalid(
            "The code was asked for with another key (dpop_jkt); send a DPoP proof made with that key.",
        ));
    }
    Ok(())
}

/// RFC 7636 §4.6. A wrong `code_verifier` from the right client burns the code: whoever stole it gets one guess.
async fn check_code_verifier(
    request: &TokenRequest<'_>,
    code_verifier: &str,
    code: &Code,
) -> Result<(), TokenError> {
    if !verifier_is_well_formed(code_verifier) {
        return Err(invalid_grant(
            "The code_verifier must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~ (RFC 7636).",
        ));
    }
    let matches = CodeChallenge::parse(&code.code_challenge, Some("S256"))
        .is_ok_and(|challenge| challenge.verify(code_verifier));
    if matches {
        return Ok(());
    }
    request
        .acting()
        .burn_code(&code.digest, request.ctx.now())
        .await?;
    request.info.note_told();
    Err(invalid_grant(
        "The code_verifier does not match the code_challenge; start a new authorization request.",
    ))
}

/// RFC 6749 §4.1.2: a code that comes back was stolen by one of the two; everything made from it ends,
/// whatever else the second request says.
async fn replayed(request: &TokenRequest<'_>, grant: &Grant) -> Result<TokenError, TokenError> {
    let now = request.ctx.now();
    let ended = request
        .acting()
        .revoke_grants(GrantFilter::one(grant.id), EndReason::CodeReplayed, now)
        .await?;
    if ended == 0 {
        return Ok(unusable(
            UNUSABLE,
            "the code was used before, and its grant has ended",
        ));
    }
    Ok(told_of_replay(request, grant))
}

fn told_of_replay(request: &TokenRequest<'_>, grant: &Grant) -> TokenError {
    request.info.note_told();
    let (request_id, address) = (&*request.info.id, request.info.address);
    tracing::warn!(
        request_id, %address, grant = %grant.id.0, client_id = %grant.client_id, "a code was replayed; its grant has been ended"
    );
    unusable(UNUSABLE, "the code was used before")
}
