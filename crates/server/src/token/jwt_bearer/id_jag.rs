//! What an identity provider says of a person.

use std::sync::Arc;

use doorward_oauth::bearer::{Kind, Person};
use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::resource::ResourceUri;
use doorward_store::Resource;

use super::of_person::OfPerson;
use super::{NOT_TAKEN, check_key, refused};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::resources::Targets;
use crate::token::{TokenRequest, TokenResponse, unusable};
use crate::trust;

/// Whether a request shows an ID-JAG, whoever shows it.
pub(in crate::token) fn is_shown(ctx: &Context, parameters: &Parameters) -> Result<bool, TokenError> {
    let is_grant = parameters.get("grant_type")? == Some(GrantType::JwtBearer.as_str());
    if !is_grant || !ctx.settings.jwt_bearer.enabled {
        return Ok(false);
    }
    let assertion = parameters.get("assertion")?;
    Ok(assertion.is_some_and(|assertion| matches!(trust::kind(assertion), Ok(Kind::IdJag))))
}

/// An ID-JAG, shown by a client that authenticated itself.
pub(in crate::token) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let trusted = trust::verify(ctx, parameters.require("assertion")?, Kind::IdJag)
        .await
        .map_err(refused)?;
    let asserted = &trusted.assertion;
    if !client.is_confidential() && !trusted.terms.public_clients {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "Assertions about people are for clients that authenticate; register this one with a secret or keys.",
        )
        .into());
    }
    let about = asserted
        .person
        .as_ref()
        .ok_or_else(|| TokenError::internal("an ID-JAG without a person"))?;
    if about.client_id != client.client_id() {
        return Err(unusable(NOT_TAKEN, "its client_id is another client"));
    }
    check_key(asserted, request.key_thumbprint())?;
    let resource = resource_of_person(ctx, about, parameters).await?;
    let mut token = OfPerson::prepare(request, &trusted, about, resource, about.scope.as_ref()).await?;
    token.issue = token.issue.with_snapshot(client.registered().snapshot(ctx.now()));
    token.give(request).await
}

/// The one resource that assertion and request agree on. An assertion that names none will do where there is only one.
async fn resource_of_person(
    ctx: &Context,
    about: &Person,
    parameters: &Parameters,
) -> Result<Arc<Resource>, TokenError> {
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let Some(asserted) = &about.resource else {
        if ctx.resources.all().await?.len() > 1 {
            return Err(no_target(
                "The assertion names no resource, and there are several here; get one that does.",
            ));
        }
        return Ok(ctx.resources.resolve(&requested).await?);
    };
    let asserted: Vec<&str> = asserted.iter().collect();
    let resource = match (requested.as_slice(), asserted.as_slice()) {
        ([], [one]) => ctx.resources.resolve(&[one]).await?,
        ([], _) => {
            return Err(no_target(
                "The assertion names several resources; send the one that is meant as resource.",
            ));
        }
        (requested, _) => ctx.resources.resolve(requested).await?,
    };
    let uri = ResourceUri::parse(&resource.uri).map_err(TokenError::internal)?;
    if asserted.iter().any(|named| uri.matches(named)) {
        return Ok(resource);
    }
    Err(no_target(
        "The assertion is for another resource; ask for that one, or get another assertion.",
    ))
}

fn no_target(description: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidTarget, description).into()
}

/// RFC 9470: where the resource demands a recent sign-in, the provider has to say when it was.
pub(in crate::token) fn check_recent(
    ctx: &Context,
    targets: &Targets,
    about: &Person,
) -> Result<(), TokenError> {
    let Some(max_age) = targets.max_auth_age() else {
        return Ok(());
    };
    let recent = about.auth_time.is_some_and(|signed_in| {
        let age = ctx.now().seconds().saturating_sub(signed_in.seconds());
        age <= i64::from(max_age)
    });
    if recent {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::InvalidGrant,
        "The resource demands a recent sign-in; sign in again at the identity provider and get an assertion with its auth_time.",
    )
    .into())
}
