//! An ID token as the subject: an identity provider that is trusted with it says who signed in to the client, and the rules
//! of its terms say what that is worth here. As with an ID-JAG the person is found by `iss` and `sub` alone.

use doorward_oauth::claims::Actor;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::exchange::Refusal;

use super::asked::Asked;
use super::check_actor_token;
use super::target::target_of_foreign;
use crate::http::error::TokenError;
use crate::token::jwt_bearer::of_person::OfPerson;
use crate::token::jwt_bearer::{check_key, refused};
use crate::token::{TokenRequest, TokenResponse};
use crate::trust;

pub(super) async fn grant(
    request: &TokenRequest<'_>,
    asked: &Asked<'_>,
    issued_token_type: &'static str,
) -> Result<TokenResponse, TokenError> {
    if !request.client.is_confidential() {
        return Err(OAuthError::from(Refusal::PublicClient).into());
    }
    let response = exchange(request, asked).await.map_err(as_invalid_request)?;
    Ok(response.with_issued_token_type(issued_token_type))
}

/// RFC 8693 §2.2.2: a subject token that is not valid for any reason.
fn as_invalid_request(error: TokenError) -> TokenError {
    error.with_code(ErrorCode::InvalidGrant, ErrorCode::InvalidRequest)
}

async fn exchange(request: &TokenRequest<'_>, asked: &Asked<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let client_id = client.client_id();
    let trusted = trust::verify_id_token(ctx, asked.subject_token, client_id)
        .await
        .map_err(refused)?;
    let about = trusted.assertion.person.as_ref();
    let about = about.ok_or_else(|| TokenError::internal("an ID token without a person"))?;
    if let Some(actor_token) = asked.actor_token {
        check_actor_token(request, asked.subject_token, actor_token).await?;
    }
    check_key(&trusted.assertion, request.key_thumbprint())?;
    let resource = target_of_foreign(ctx, parameters).await?;
    let mut token = OfPerson::prepare(request, &trusted, about, resource, None).await?;
    token.issue.draft = token
        .issue
        .draft
        .ending_by(&mut token.issue.record.issuance, trusted.assertion.expires_at)
        .acted_by(Actor {
            sub: client_id.to_owned(),
            iss: None,
            client_id: None,
            act: None,
            extra: serde_json::Map::new(),
        });
    token.give(request).await
}
