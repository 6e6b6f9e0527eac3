//! What a platform says of a program.

use std::sync::Arc;

use doorward_oauth::bearer::Kind;
use doorward_oauth::client::GrantType;
use doorward_oauth::dpop::Proof;
use doorward_oauth::parameters::Parameters;
use doorward_store::{Actor, UserId};
use http::{HeaderMap, header};

use super::issue::{Issue, Shown, new_grant, record};
use super::{allowed, check_key, refused, scopes};
use crate::context::Context;
use crate::dpop;
use crate::http::address::bucket;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::resources::Targets;
use crate::routes;
use crate::token::TokenResponse;
use crate::token::request::check_wants_no_key;
use crate::trust;

/// Whether a request is of somebody who has no client and means to have none.
pub(in crate::token) fn is_shown(
    ctx: &Context,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<bool, TokenError> {
    let is_grant = parameters.get("grant_type")? == Some(GrantType::JwtBearer.as_str());
    if !is_grant || !ctx.settings.jwt_bearer.enabled || headers.contains_key(header::AUTHORIZATION) {
        return Ok(false);
    }
    for credential in [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    ] {
        if parameters.get(credential)?.is_some() {
            return Ok(false);
        }
    }
    // Who shows an assertion about a person has to be a client.
    let assertion = parameters.require("assertion")?;
    Ok(!matches!(trust::kind(assertion), Ok(Kind::IdJag)))
}

/// The token of a platform, shown by the workload itself.
pub(in crate::token) async fn grant(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<TokenResponse, TokenError> {
    let trusted = trust::verify(ctx, parameters.require("assertion")?, Kind::Workload)
        .await
        .map_err(refused)?;
    let client_id = format!("workload:{}", trusted.issuer.slug);
    info.note_client(&client_id);
    let actor = Actor::Client(client_id.clone());
    info.note_actor(actor.clone());
    ctx.limits
        .token_client
        .take((client_id.as_str(), Some(bucket(info.address))))?;
    let proof = dpop::read(ctx, headers, routes::TOKEN)?;
    let signer = ctx.keys.current_signer().await?;
    let thumbprint = proof.as_ref().map(Proof::key_thumbprint);
    check_key(&trusted.assertion, thumbprint)?;
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let resource = ctx.resources.resolve(&requested).await?;
    if proof.is_none() {
        check_wants_no_key(Some(resource.as_ref()))?;
    }
    let targets = Targets::one(Arc::clone(&resource));
    let allowed = allowed(&trusted, None, &resource)?;
    let scopes = scopes(&allowed, None, parameters, &resource)?;

    // Nobody else's: people are UUIDs, and no client is called so.
    let subject = format!("{client_id}:{}", trusted.assertion.subject);
    let grant = new_grant(
        ctx,
        &trusted,
        UserId::NOBODY,
        subject,
        &client_id,
        &resource,
        &scopes,
    );
    let issue = Issue::draft(ctx, &trusted, grant, &targets, scopes, thumbprint, &allowed);
    let shown = Shown {
        info,
        client: None,
        actor,
        proof: proof.as_ref(),
        signer: signer.as_ref(),
    };
    let response = record(ctx, &shown, &trusted, &allowed, issue.draft, issue.record).await?;
    ctx.metrics.token_issued(GrantType::JwtBearer.as_str());
    Ok(response)
}
