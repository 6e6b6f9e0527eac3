//! From a decision to a code.

use axum::response::Response;
use doorward_jose::{base64url, sha256};
use doorward_oauth::scope::{OFFLINE_ACCESS, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{
    Actor, ActorKind, Approval, ApprovalOutcome, AuditAction, Code, Consent, Grant, GrantId, GrantState,
    StoreError,
};
use http::StatusCode;

use super::pending::Pending;
use super::remembered::{Remembered, comparable};
use super::request::Answer;
use super::response;
use super::visit::{consent_gone, resource_gone};
use crate::audit::Refusal;
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::PageError;
use crate::http::request::RequestInfo;
use crate::login::sessions::SignedIn;
use crate::pages::{DeviceDonePage, HandOverPage};
use crate::prefix::AUTHORIZATION_CODE;

const PURPOSE: &str = "authorization-code";

/// What a person decided.
pub(crate) struct Decision<'a> {
    pending: &'a Pending,
    client: &'a Client,
    signed_in: &'a SignedIn,
    /// What of it the token may carry.
    scopes: ScopeSet,
    /// Whether refresh tokens may be given.
    stay_connected: bool,
    /// What is to be remembered: allowed and declined. `None` when the person was not asked.
    answer: Option<(ScopeSet, ScopeSet)>,
}

impl<'a> Decision<'a> {
    /// The person was offered these scopes and allowed those. Staying connected is the person's to decide,
    /// whether the client asked for `offline_access` or is registered for refresh tokens: it is among what was
    /// offered, and only what was asked for gets into the token.
    pub(crate) fn made(
        pending: &'a Pending,
        client: &'a Client,
        signed_in: &'a SignedIn,
        offered: &ScopeSet,
        allowed: &ScopeSet,
    ) -> Self {
        Self {
            pending,
            client,
            signed_in,
            scopes: pending.request.scopes.intersection(allowed),
            stay_connected: allowed.contains(OFFLINE_ACCESS),
            answer: Some((allowed.clone(), offered.difference(allowed))),
        }
    }

    /// The person decided the same before.
    pub(crate) fn repeated(
        pending: &'a Pending,
        client: &'a Client,
        signed_in: &'a SignedIn,
        remembered: &Remembered,
    ) -> Self {
        Self {
            pending,
            client,
            signed_in,
            scopes: pending.request.scopes.clone(),
            stay_connected: remembered.stays_connected(),
            answer: None,
        }
    }

    /// The code of the request: derived from it, so that the same form posted twice gives the same code, and
    /// not derivable from anything that the store holds.
    fn code(&self, ctx: &Context) -> String {
        format!(
            "{AUTHORIZATION_CODE}{}",
            base64url::encode(&ctx.secrets.mac(PURPOSE, &[self.pending.secret_id()]))
        )
    }

    /// The record of the code. A device code was made before anybody approved it.
    fn record_of_code(&self, code: &str, grant: GrantId, expires_at: UnixSeconds) -> Code {
        let record = Code {
            digest: sha256(code.as_bytes()),
            grant,
            client_id: self.pending.request.client_id.clone(),
            redirect_uri: String::new(),
            code_challenge: String::new(),
            stay_connected: self.stay_connected,
            dpop_jkt: None,
            expires_at,
            redeemed_at: None,
        };
        match &self.pending.request.answer {
            Answer::Redirect {
                redirect_uri,
                code_challenge,
                dpop_jkt,
                ..
            } => Code {
                redirect_uri: redirect_uri.clone(),
                code_challenge: code_challenge.as_str().to_owned(),
                dpop_jkt: dpop_jkt.clone(),
                ..record
            },
            Answer::Device {
                digest, expires_at, ..
            } => Code {
                digest: *digest,
                expires_at: *expires_at,
                ..record
            },
        }
    }

    fn approval(&self, ctx: &Context, code: &str, hand_over: bool) -> Approval {
        let now = ctx.now();
        let request = &self.pending.request;
        let (session, user) = (&self.signed_in.session, &self.signed_in.user);
        let grant = Grant {
            id: GrantId(ctx.random.uuid_v7(ctx.clock.as_ref())),
            user: user.id,
            subject: user.id.0.to_string(),
            client_id: request.client_id.clone(),
            resource: request.resource.clone(),
            more_resources: request.more_resources.clone(),
            trusted_issuer: None,
            scopes: self.scopes.clone(),
            state: GrantState::Pending,
            end_reason: None,
            ended_at: None,
            created_at: now,
            authenticated_at: session.authenticated_at,
            methods: session.methods.clone(),
            generation: 0,
            generation_at: now,
            refresh_salt: ctx.random.bytes(),
            refresh_expires_at: None,
            last_used_at: now,
            dpop_jkt: None,
        };
        let code = self.record_of_code(code, grant.id, now + ctx.settings.tokens.code_ttl.duration());
        let (consent, declined) = self.answer.clone().unzip();
        // What somebody allowed on several resources together says nothing about one of them. And whoever carried a code over
        // is asked again: the next one would go straight to this browser's own machine, where the client is not.
        let consent = consent.filter(|_| request.more_resources.is_empty() && !hand_over);
        let consent = consent.map(|scopes| Consent {
            scopes,
            fingerprint: self.client.fingerprint.clone(),
            redirect_uris: request.redirect_uri().map(comparable).into_iter().collect(),
            granted_at: now,
        });
        Approval {
            request_id: self.pending.request_id(),
            grant,
            code,
            session: session.id,
            asked: self.answer.is_some(),
            consent,
            declined: declined.unwrap_or_default(),
            fingerprint: self.client.fingerprint.clone(),
            client: self.client.snapshot(now),
            now,
        }
    }
}

/// Records the decision and answers the client.
pub(crate) async fn approve(
    ctx: &Context,
    info: &RequestInfo,
    decision: &Decision<'_>,
) -> Result<Response, PageError> {
    approve_and(ctx, info, decision, false).await
}

/// Records the decision and answers the client; with `hand_over` the person is shown the code instead, for a client that
/// this browser does not reach. Posted twice, it answers the same.
pub(crate) async fn approve_and(
    ctx: &Context,
    info: &RequestInfo,
    decision: &Decision<'_>,
    hand_over: bool,
) -> Result<Response, PageError> {
    let code = decision.code(ctx);
    let request = &decision.pending.request;
    if request.device_has_expired(ctx.now()) {
        tell_refusal(ctx, info, decision, "expired");
        return Err(device_gone());
    }
    let person = Actor::Person(decision.signed_in.user.id);
    // From memory it may be somebody else who made the browser ask.
    if decision.answer.is_some() {
        info.note_actor(person.clone());
    }
    let acting = ctx.acting(info, person);
    let outcome = match acting.approve(decision.approval(ctx, &code, hand_over)).await {
        // Somebody else answered it in this browser.
        Err(StoreError::Conflict) => return Err(already_answered()),
        outcome => outcome?,
    };
    let (why, refused) = match outcome {
        ApprovalOutcome::Approved(approved) => {
            if !approved.fresh && !is_same(ctx, &code, decision).await? {
                return Err(already_answered());
            }
            tracing::info!(
                request_id = &*info.id, address = %info.address, client_id = %request.client_id, grant = %approved.grant.0, resource = %request.resource,
                scope = %decision.scopes, asked = decision.answer.is_some(), fresh = approved.fresh, "authorized"
            );
            return match &request.answer {
                Answer::Redirect {
                    redirect_uri, state, ..
                } if hand_over => {
                    let page = HandOverPage {
                        base: ctx.issuer.path().to_owned(),
                        callback: response::success_location(ctx, redirect_uri, state.as_deref(), &code),
                        may_be_a_command: means_the_same_in_every_shell(redirect_uri),
                        code,
                        seconds: ctx.settings.tokens.code_ttl.duration().as_secs(),
                    };
                    Ok(page.render_response(StatusCode::OK))
                }
                Answer::Redirect {
                    redirect_uri, state, ..
                } => response::success(ctx, redirect_uri, state.as_deref(), &code),
                Answer::Device { .. } => Ok(DeviceDonePage::allowed(
                    ctx.issuer.path(),
                    decision.client.display_name(),
                )
                .render_response(StatusCode::OK)),
            };
        }
        ApprovalOutcome::AlreadyRedeemed => ("already_redeemed", already_answered()),
        ApprovalOutcome::SignInAgain => ("signed_out", signed_out()),
        ApprovalOutcome::ClientGone => ("client_gone", client_gone()),
        ApprovalOutcome::ResourceGone => ("resource_gone", resource_gone()),
        ApprovalOutcome::ConsentGone => ("consent_gone", consent_gone()),
    };
    tell_refusal(ctx, info, decision, why);
    Err(refused)
}

/// Writes down why a decision came to nothing, once a minute: a used form can be posted as often as somebody likes.
fn tell_refusal(ctx: &Context, info: &RequestInfo, decision: &Decision<'_>, why: &'static str) {
    // From memory it may be somebody else who made the browser ask.
    if decision.answer.is_none() {
        return ctx.audit.count(info, ActorKind::Anyone, why, None);
    }
    let (user, request) = (decision.signed_in.user.id, &decision.pending.request);
    let refusal = Refusal {
        user: Some(user),
        client_id: Some(request.client_id.clone()),
        resource: Some(request.resource.clone()),
        ..Refusal::default()
    };
    let action = AuditAction::GrantApproved;
    ctx.audit.refuse(info, &Actor::Person(user), action, why, refusal);
}

/// Whether an earlier answer to this request was the same one. Two different answers, after the back button,
/// must not share a code: the second would get what the first allowed.
async fn is_same(ctx: &Context, code: &str, decision: &Decision<'_>) -> Result<bool, PageError> {
    let digest = match &decision.pending.request.answer {
        Answer::Device { digest, .. } => *digest,
        Answer::Redirect { .. } => sha256(code.as_bytes()),
    };
    let earlier = ctx.store.code(&digest).await?;
    Ok(earlier.is_some_and(|(code, grant)| {
        grant.scopes == decision.scopes && code.stay_connected == decision.stay_connected
    }))
}

/// Quotes are not enough: a client may register a redirect URI with quotes in it, and not every shell knows the same ones.
fn means_the_same_in_every_shell(redirect_uri: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    redirect_uri.bytes().all(is_plain)
}

/// RFC 8628 §3.5: the device is told `expired_token` or no longer asks, so nothing may say that it is connected.
pub(super) fn device_gone() -> PageError {
    PageError::new(
        StatusCode::BAD_REQUEST,
        "This code has expired",
        "The device no longer waits for an answer, and nothing was allowed. Start again on the device.",
    )
}

fn signed_out() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "You are signed out",
        "Your session ended in the meantime. Go back to the application and connect again.",
    )
}

/// The client was disabled, removed or changed while the person decided.
pub(crate) fn client_gone() -> PageError {
    PageError::new(
        StatusCode::BAD_REQUEST,
        "This application has changed",
        "It was changed or removed while you decided, so nothing was allowed. Go back to it and connect again.",
    )
}

pub(crate) fn already_answered() -> PageError {
    PageError::new(
        StatusCode::CONFLICT,
        "You have answered already",
        "The application has received your answer. You can close this page; to change it, connect again from the application.",
    )
}
