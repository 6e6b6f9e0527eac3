//! `requested_token_type=urn:ietf:params:oauth:token-type:id-jag`: this server vouches to another authorization server for
//! a person who signed in here (Identity Assertion Authorization Grant). Who gets one is decided in
//! [`doorward_oauth::id_jag`].

use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::exchange::Refusal;
use doorward_oauth::id_jag::{Allowed, AudienceTerms, ID_JAG_TYPE, Shown, Wanted};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{AssertionAudience, Grant, GrantState, IdJagOutcome, IssueIdJag, RefreshShown};

use super::asked::{Asked, SubjectType};
use super::{caller, check_actor_token, client_gone, invalid_request, live_token, own_resource};
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::issue::id_jag::IdJagDraft;
use crate::token::{RefreshToken, TokenRequest, TokenResponse};

pub(super) async fn grant(
    request: &TokenRequest<'_>,
    asked: &Asked<'_>,
) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        info,
        client,
        parameters,
        ..
    } = *request;
    request.check_bound(None)?;
    let subject = Subject::read(ctx, asked.shown, asked.subject_token, client.client_id())
        .await?
        .ok_or_else(unusable_subject)?;
    if let Some(actor_token) = asked.actor_token {
        check_actor_token(request, asked.subject_token, actor_token).await?;
    }
    let (audience, terms) = audience(ctx, parameters).await?.ok_or_else(no_such_audience)?;
    let resource = one_resource(parameters)?;
    let allowed = decide(
        ctx,
        &terms,
        &subject,
        client.registered(),
        request.key_thumbprint(),
        Wanted {
            resource,
            scope: asked.scope.as_ref(),
        },
    )
    .await?
    .map_err(OAuthError::from)?;
    let person = ctx.store.user(subject.grant.user).await?;
    let person = person.ok_or_else(unusable_subject)?;

    let rules = allowed.rules.clone();
    let known_as = allowed.client_id.clone();
    let (draft, mut issuance) =
        IdJagDraft::new(ctx, &subject.grant, &audience.issuer, allowed, client.client_id());
    issuance.parent = subject.claims.map(|claims| claims.jti);
    let jti = issuance.jti.clone();
    request.spend().await?;
    let issue = IssueIdJag {
        now: issuance.issued_at,
        issuance,
        refresh: subject.refresh,
        audience: audience.slug.clone(),
    };
    match ctx.store.issue_id_jag(issue).await? {
        IdJagOutcome::Issued => {}
        IdJagOutcome::SubjectGone => return Err(unusable_subject()),
        IdJagOutcome::ClientGone => return Err(client_gone()),
        IdJagOutcome::AudienceGone => return Err(no_such_audience()),
    }
    tracing::info!(
        request_id = &*info.id, client_id = client.client_id(), known_as, grant = %subject.grant.id.0, subject = subject.grant.subject, jti,
        assertion_audience = audience.slug, ?rules, "issued an identity assertion for another server"
    );
    let draft = draft.about(&terms.person_claims, &person);
    let token = draft.sign(request.signer).await?;
    Ok(TokenResponse::new(token, None).with_issued_token_type(ID_JAG_TYPE))
}

/// A token of this server that works now, of a grant that lives.
pub(crate) struct Subject {
    pub(crate) grant: Grant,
    claims: Option<AccessTokenClaims>,
    refresh: Option<RefreshShown>,
    expires_at: UnixSeconds,
}

impl Subject {
    /// What was shown, by this client. A refresh token is not used up: it stays the client's own.
    pub(crate) async fn read(
        ctx: &Context,
        shown: SubjectType,
        token: &str,
        client_id: &str,
    ) -> Result<Option<Self>, TokenError> {
        match shown {
            SubjectType::AccessToken => Self::of_access_token(ctx, token).await,
            SubjectType::RefreshToken => Self::of_refresh_token(ctx, token, client_id).await,
            SubjectType::IdToken => Ok(None),
        }
    }

    async fn of_access_token(ctx: &Context, token: &str) -> Result<Option<Self>, TokenError> {
        let Some(live) = live_token(ctx, token).await? else {
            return Ok(None);
        };
        let grant = ctx.store.grant(live.grant).await?;
        Ok(grant.map(|grant| Self {
            grant,
            expires_at: live.claims.exp,
            claims: Some(live.claims),
            refresh: None,
        }))
    }

    async fn of_refresh_token(
        ctx: &Context,
        token: &str,
        client_id: &str,
    ) -> Result<Option<Self>, TokenError> {
        let Some(presented) = RefreshToken::parse(token) else {
            return Ok(None);
        };
        let Some(grant) = ctx.store.grant(presented.grant).await? else {
            return Ok(None);
        };
        let is_own = presented.belongs_to(&grant, &ctx.secrets) && grant.client_id == client_id;
        let is_present = grant.state == GrantState::Active && presented.generation == grant.generation;
        let targets = ctx.resources.of_grant(&grant).await?;
        let (true, true, Some(targets), Some(end)) = (is_own, is_present, targets, grant.refresh_expires_at)
        else {
            return Ok(None);
        };
        let policy = targets.refresh_policy(ctx.refresh_policy());
        let expires_at = end.min(grant.generation_at + policy.idle_ttl);
        Ok((ctx.now() < expires_at).then_some(Self {
            refresh: Some(RefreshShown {
                generation: presented.generation,
                policy,
            }),
            grant,
            claims: None,
            expires_at,
        }))
    }

    fn shown(&self) -> Shown<'_> {
        let bound = self.claims.as_ref().and_then(|claims| claims.cnf.as_ref());
        let bound = bound.map(|cnf| cnf.jkt.as_str());
        Shown {
            signed_in_here: !self.grant.user.is_nobody() && self.grant.trusted_issuer.is_none(),
            client_id: self
                .claims
                .as_ref()
                .map_or(&self.grant.client_id, |claims| &claims.client_id),
            key_thumbprint: bound.or(self.grant.dpop_jkt.as_deref().filter(|_| self.refresh.is_some())),
            claims: self.claims.as_ref(),
            expires_at: self.expires_at,
        }
    }
}

/// The other server that the request means, by its issuer, and its terms.
pub(crate) async fn audience(
    ctx: &Context,
    parameters: &Parameters,
) -> Result<Option<(AssertionAudience, AudienceTerms)>, TokenError> {
    let mut named = parameters.get_all("audience");
    let (Some(issuer), None) = (named.next(), named.next()) else {
        return Err(invalid_request(
            "Say for which authorization server the ID-JAG is: one audience, its issuer.",
        ));
    };
    let audience = ctx.store.assertion_audience_by_url(issuer).await?;
    let Some(audience) = audience.filter(|audience| !audience.disabled) else {
        return Ok(None);
    };
    let terms = serde_json::from_str(&audience.terms).map_err(TokenError::internal)?;
    Ok(Some((audience, terms)))
}

/// `resource`: one at most, of the other server.
pub(crate) fn one_resource(parameters: &Parameters) -> Result<Option<&str>, TokenError> {
    let mut named = parameters.get_all("resource");
    match (named.next(), named.next()) {
        (resource, None) => Ok(resource),
        _ => Err(OAuthError::new(
            ErrorCode::InvalidTarget,
            "An ID-JAG is for one resource; send one resource parameter.",
        )
        .into()),
    }
}

/// The decision on facts of this moment.
pub(crate) async fn decide(
    ctx: &Context,
    terms: &AudienceTerms,
    subject: &Subject,
    client: &Client,
    key_thumbprint: Option<&str>,
    wanted: Wanted<'_>,
) -> Result<Result<Allowed, Refusal>, TokenError> {
    let resource = own_resource(ctx, client).await?;
    Ok(terms.decide(
        &subject.shown(),
        &caller(client, resource.as_deref(), key_thumbprint),
        wanted,
        ctx.settings.token_exchange.max_depth as usize,
        ctx.now(),
    ))
}

fn unusable_subject() -> TokenError {
    invalid_request(
        "The subject_token is no access token or refresh token of this server that works now, and is this client's to show; get a new one.",
    )
}

fn no_such_audience() -> TokenError {
    OAuthError::new(
        ErrorCode::InvalidTarget,
        "The audience is no authorization server that gets ID-JAGs of this one; send its issuer exactly, or ask the operator to add it.",
    )
    .into()
}
