//! `grant_type=refresh_token` (OAuth 2.1 §4.3). What happens to generations is in
//! [`doorward_store::Store::rotate_refresh`].

use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Grant, GrantId, RefreshPolicy, Resource, RotateOutcome, RotateRefresh};
use tokio::sync::oneshot;

use super::refresh::RefreshToken;
use super::request::check_unbound;
use super::{
    TokenRequest, TokenResponse, about_person, of_grant, requested_resources, requested_scope, unusable,
};
use crate::clients::authentication::AuthenticatedClient;
use crate::context::Context;
use crate::dpop;
use crate::http::error::TokenError;
use crate::issue::Draft;
use crate::resources::{Registered, Targets, refreshed_scopes};

const UNUSABLE: &str = "The refresh token is unknown, expired or revoked; start a new authorization request.";

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let usage = Usage::read(request).await?;
    let (prepared, outcome) = if usage.takes_steps(request) {
        by_steps(request, &usage).await?
    } else {
        at_once(request, usage).await?
    };
    let (grant, successor) = match outcome {
        RotateOutcome::Rotated { grant, successor, .. } => (grant, successor),
        RotateOutcome::Reused => {
            request.info.note_told();
            let (grant, client_id) = (prepared.grant.0, request.client.client_id());
            let (request_id, address) = (&*request.info.id, request.info.address);
            tracing::warn!(request_id, %address, %grant, client_id, "an old refresh token came back; its grant has been ended");
            return Err(unusable(UNUSABLE, "older than the retry window"));
        }
        RotateOutcome::Expired => return Err(unusable(UNUSABLE, "idle too long, or past its end")),
        RotateOutcome::Ended => {
            return Err(unusable(
                UNUSABLE,
                "the grant ended, or its person, client or resource is gone",
            ));
        }
        RotateOutcome::Unknown => return Err(unusable(UNUSABLE, "a generation that was never given out")),
    };

    let ctx = request.ctx;
    let token = prepared.draft.sign(ctx, request.signer).await?;
    let refresh_token = RefreshToken::derive(&grant, successor, &ctx.secrets);
    let response = TokenResponse::new(token, Some(refresh_token));
    Ok(response.with_refresh_expiry(&grant, prepared.policy, prepared.now))
}

/// What a refresh comes to, as far as its grant decides.
struct Prepared {
    grant: GrantId,
    draft: Draft,
    /// What the access token is for.
    targets: Targets,
    policy: RefreshPolicy,
    now: UnixSeconds,
}

/// What a client wants with a refresh token, as far as that can be read without the grant: small, since it may wait in line.
struct Usage {
    ctx: Arc<Context>,
    client: AuthenticatedClient,
    /// Of the key that the client proved to have.
    key_thumbprint: Option<String>,
    presented: RefreshToken,
    scope: Option<ScopeSet>,
    /// Those that the client names.
    resources: Vec<String>,
    registered: Registered,
}

impl Usage {
    async fn read(request: &TokenRequest<'_>) -> Result<Self, TokenError> {
        let TokenRequest { ctx, parameters, .. } = *request;
        let presented = RefreshToken::parse(parameters.require("refresh_token")?)
            .ok_or_else(|| unusable(UNUSABLE, "malformed"))?;
        let resources = requested_resources(parameters)?;
        Ok(Self {
            ctx: Arc::clone(ctx),
            client: request.client.clone(),
            key_thumbprint: request.key_thumbprint().map(str::to_owned),
            presented,
            scope: requested_scope(parameters)?,
            resources: resources.into_iter().map(str::to_owned).collect(),
            registered: ctx.resources.all().await?,
        })
    }

    /// Whether the grant is read by itself first: something has to be used up, or read, before its token is used; or so many
    /// made-up tokens came that they are kept from the one who writes.
    fn takes_steps(&self, request: &TokenRequest<'_>) -> bool {
        let tells_of_person = |resource: &Arc<Resource>| !resource.policy.person_claims.is_empty();
        request.spends()
            || self.registered.iter().any(tells_of_person)
            || self.ctx.limits.made_up.are_many(self.ctx.now())
    }

    /// Every check that needs the grant, and what is to be done when they pass.
    fn prepare(&self, grant: &Grant) -> Result<(Prepared, RotateRefresh), TokenError> {
        let ctx = &self.ctx;
        // A token that another client presents is left alone: its owner can still use it.
        if !self.presented.belongs_to(grant, &ctx.secrets) {
            ctx.limits.made_up.note(ctx.now());
            return Err(not_made_here());
        }
        if grant.client_id != self.client.client_id() {
            return Err(not_made_here());
        }
        // A client that runs in circles; nothing is used up.
        ctx.limits.token_account.take((grant.user.0, &grant.client_id))?;
        let all = of_grant(Targets::of_grant(&self.registered, grant))?;
        let named: Vec<&str> = self.resources.iter().map(String::as_str).collect();
        let targets = all.narrowed(&named)?;
        // The grant keeps its own.
        let requested = self.scope.as_ref();
        let scopes = refreshed_scopes(&grant.scopes, &all, &targets, &self.registered, requested)?;
        self.check_key(grant, &targets)?;

        let (now, policy) = (ctx.now(), all.refresh_policy(ctx.refresh_policy()));
        let key_thumbprint = self.key_thumbprint.as_deref();
        let (draft, issuance) = Draft::for_grant(ctx, grant, &targets, scopes, key_thumbprint, now);
        draft.check_size()?;
        let rotate = RotateRefresh {
            grant: grant.id,
            generation: self.presented.generation,
            policy,
            issuance,
            now,
        };
        let prepared = Prepared {
            grant: grant.id,
            draft,
            targets,
            policy,
            now,
        };
        Ok((prepared, rotate))
    }

    /// RFC 9449 §5: what a public client got with a key, it refreshes with that key.
    fn check_key(&self, grant: &Grant, targets: &Targets) -> Result<(), TokenError> {
        if self.key_thumbprint.is_none() {
            check_unbound(&self.client, targets.iter())?;
        }
        if grant.dpop_jkt.is_some() && grant.dpop_jkt != self.key_thumbprint {
            return Err(dpop::invalid(
                "The refresh token is bound to a key; send a DPoP proof made with that key.",
            ));
        }
        Ok(())
    }
}

fn no_such_grant(ctx: &Context) -> TokenError {
    ctx.limits.made_up.note(ctx.now());
    unusable(UNUSABLE, "no such grant")
}

fn not_made_here() -> TokenError {
    unusable(UNUSABLE, "not made here, or for another client")
}

/// The grant is read and checked in the operation that uses it.
async fn at_once(request: &TokenRequest<'_>, usage: Usage) -> Result<(Prepared, RotateOutcome), TokenError> {
    let (tell, told) = oneshot::channel();
    let grant = usage.presented.grant;
    let decide = move |grant: &Grant| {
        let (prepared, rotate) = match usage.prepare(grant) {
            Ok((prepared, rotate)) => (Ok(prepared), Some(rotate)),
            Err(error) => (Err(error), None),
        };
        // Whoever asked may be gone.
        tell.send(prepared).is_ok().then_some(rotate).flatten()
    };
    let outcome = request.acting().use_refresh(grant, Box::new(decide)).await?;
    let prepared = told.await.map_err(|_| no_such_grant(request.ctx))??;
    Ok((prepared, outcome.unwrap_or(RotateOutcome::Unknown)))
}

/// The grant is read and checked, then what counts once is used up, then the refresh token is used.
async fn by_steps(
    request: &TokenRequest<'_>,
    usage: &Usage,
) -> Result<(Prepared, RotateOutcome), TokenError> {
    let ctx = request.ctx;
    let grant = ctx.store.grant(usage.presented.grant).await?;
    let grant = grant.ok_or_else(|| no_such_grant(ctx))?;
    let (mut prepared, rotate) = usage.prepare(&grant)?;
    prepared.draft = about_person(ctx, prepared.draft, &prepared.targets, &grant).await?;
    request.spend().await?;
    Ok((prepared, request.acting().rotate_refresh(rotate).await?))
}
