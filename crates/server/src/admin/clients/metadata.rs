//! What an operator says of a client, and whether it can be so.

use doorward_oauth::client::{
    ApplicationType, ClientMetadata, EffectiveClient, GrantType, TokenEndpointAuthMethod, effective,
};
use doorward_store::Client;
use serde_json::{Value, json};

use super::{ClientChange, NewClient};
use crate::admin::change::Member;
use crate::admin::error::AdminError;
use crate::admin::name;
use crate::context::Context;

/// What a new client is, by the rules for clients that an operator registers.
pub(super) fn checked(ctx: &Context, new: NewClient) -> Result<EffectiveClient, AdminError> {
    name::check("client_name", &new.client_name)?;
    if new.resource_server.is_some() && new.redirect_uris.is_empty() && new.grant_types.is_none() {
        if new.is_about_grants() {
            return Err(only_introspects());
        }
        let method = match new.token_endpoint_auth_method.as_deref() {
            None | Some("client_secret_basic") => TokenEndpointAuthMethod::ClientSecretBasic,
            Some("client_secret_post") => TokenEndpointAuthMethod::ClientSecretPost,
            Some(_) => return Err(only_introspects()),
        };
        return Ok(resource_server(new.client_name, method));
    }
    let grant_types = new
        .grant_types
        .unwrap_or_else(|| vec!["authorization_code".to_owned(), "refresh_token".to_owned()]);
    refuse_unknown_grant_types(ctx, &grant_types)?;
    let metadata = ClientMetadata::from_value(json!({
        "client_name": new.client_name,
        "redirect_uris": new.redirect_uris,
        "grant_types": grant_types,
        "token_endpoint_auth_method": new.token_endpoint_auth_method,
        "application_type": new.application_type,
        "scope": new.scope,
        "jwks": new.jwks,
        "jwks_uri": new.jwks_uri,
        "dpop_bound_access_tokens": new.dpop_bound_access_tokens,
        "require_pushed_authorization_requests": new.require_pushed_authorization_requests,
    }))?;
    let effective = effective(&metadata, &ctx.clients.by_operator)?;
    refuse_what_is_off(ctx, &effective)?;
    // A stranger's registration drops what it cannot have; an operator wants to know.
    if let Some(dropped) = other_than(&grant_types, &effective.grant_types) {
        return Err(AdminError::Invalid(format!(
            "The grant type {dropped:?} is not possible with this token_endpoint_auth_method."
        )));
    }
    refuse_dropped_redirect_uris(&effective, new.redirect_uris.len())?;
    Ok(effective)
}

fn refuse_unknown_grant_types(ctx: &Context, asked: &[String]) -> Result<(), AdminError> {
    match other_than(asked, &ctx.clients.by_operator.grant_types) {
        Some(unknown) => Err(AdminError::Invalid(format!(
            "There is no grant type {unknown:?} here; see grant_types_supported in the metadata."
        ))),
        None => Ok(()),
    }
}

/// The first that is none of these.
fn other_than<'a>(asked: &'a [String], these: &[GrantType]) -> Option<&'a String> {
    asked
        .iter()
        .find(|asked| !these.iter().any(|one| one.as_str() == asked.as_str()))
}

impl NewClient {
    /// Whether it is to have what a client that only introspects has not.
    fn is_about_grants(&self) -> bool {
        self.application_type.is_some()
            || self.scope.is_some()
            || self.jwks.is_some()
            || self.jwks_uri.is_some()
            || self.dpop_bound_access_tokens == Some(true)
            || self.require_pushed_authorization_requests == Some(true)
    }
}

fn only_introspects() -> AdminError {
    AdminError::invalid(
        "This client only introspects, with a secret: it has no redirect URIs, scopes or keys, and gets no tokens; register another one for that.",
    )
}

/// A client that only asks about the tokens of the resource that it is.
fn resource_server(client_name: String, method: TokenEndpointAuthMethod) -> EffectiveClient {
    EffectiveClient {
        redirect_uris: Vec::new(),
        application_type: ApplicationType::Web,
        token_endpoint_auth_method: method,
        grant_types: Vec::new(),
        response_types: Vec::new(),
        client_name: Some(client_name),
        client_uri: None,
        logo_uri: None,
        policy_uri: None,
        tos_uri: None,
        contacts: Vec::new(),
        scope: None,
        jwks: None,
        jwks_uri: None,
        software_id: None,
        software_version: None,
        dpop_bound_access_tokens: false,
        require_pushed_authorization_requests: false,
    }
}

/// What a client becomes by a change, judged as a whole.
pub(super) fn changed(
    ctx: &Context,
    client: &Client,
    change: &ClientChange,
) -> Result<EffectiveClient, AdminError> {
    let unreadable = |error: serde_json::Error| AdminError::Internal(error.to_string());
    let current: EffectiveClient = serde_json::from_str(&client.metadata).map_err(unreadable)?;
    if current.grant_types.is_empty() {
        return changed_resource_server(current, change);
    }
    let mut metadata = serde_json::to_value(current).map_err(unreadable)?;
    if let Some(client_name) = &change.client_name {
        name::check("client_name", client_name)?;
        metadata["client_name"] = client_name.as_str().into();
    }
    if let Member::Is(scope) = &change.scope {
        metadata["scope"] = scope.clone().into();
    }
    // One of the two takes the place of the other.
    if let Member::Is(jwks) = &change.jwks {
        metadata["jwks"] = jwks.clone().unwrap_or_default();
        if jwks.is_some() {
            metadata["jwks_uri"] = Value::Null;
        }
    }
    if let Member::Is(jwks_uri) = &change.jwks_uri {
        metadata["jwks_uri"] = jwks_uri.clone().into();
        if jwks_uri.is_some() && change.jwks.is_left_out() {
            metadata["jwks"] = Value::Null;
        }
    }
    if let Some(required) = change.dpop_bound_access_tokens {
        metadata["dpop_bound_access_tokens"] = required.into();
    }
    if let Some(required) = change.require_pushed_authorization_requests {
        metadata["require_pushed_authorization_requests"] = required.into();
    }
    let wanted = change.redirect_uris.as_ref().map(Vec::len);
    if let Some(redirect_uris) = &change.redirect_uris {
        metadata["redirect_uris"] = redirect_uris.clone().into();
    }
    let effective = effective(&ClientMetadata::from_value(metadata)?, &ctx.clients.by_operator)?;
    refuse_what_is_off(ctx, &effective)?;
    if let Some(wanted) = wanted {
        refuse_dropped_redirect_uris(&effective, wanted)?;
    }
    Ok(effective)
}

/// A client that has no grants is no registration that anybody could send: only its name can change.
fn changed_resource_server(
    current: EffectiveClient,
    change: &ClientChange,
) -> Result<EffectiveClient, AdminError> {
    let has_uris = change.redirect_uris.as_ref().is_some_and(|uris| !uris.is_empty());
    if has_uris || change.is_about_grants() {
        return Err(only_introspects());
    }
    if let Some(client_name) = &change.client_name {
        name::check("client_name", client_name)?;
    }
    Ok(EffectiveClient {
        client_name: change.client_name.clone().or(current.client_name),
        ..current
    })
}

fn refuse_what_is_off(ctx: &Context, effective: &EffectiveClient) -> Result<(), AdminError> {
    let sentence = if effective.dpop_bound_access_tokens && !ctx.settings.dpop.enabled {
        "No token is bound while dpop.enabled is false; switch it on first."
    } else if effective.require_pushed_authorization_requests && !ctx.settings.par.enabled {
        "No request can be sent in advance while par.enabled is false; switch it on first."
    } else {
        return Ok(());
    };
    Err(AdminError::Invalid(sentence.to_owned()))
}

fn refuse_dropped_redirect_uris(effective: &EffectiveClient, wanted: usize) -> Result<(), AdminError> {
    if effective.redirect_uris.len() == wanted {
        return Ok(());
    }
    Err(AdminError::Invalid(
        "A redirect URI is there twice or cannot be used: https, http on loopback, or an allowed private-use scheme.".to_owned(),
    ))
}
