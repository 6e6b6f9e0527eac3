//! `/consent`: the person is shown who wants what, and decides.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use doorward_jose::base64url;
use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::redirect::{RedirectUri, RedirectUriKind};
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope, ScopeSet};
use doorward_store::{ClientSource, Resource};
use http::{HeaderMap, StatusCode};

use super::approval::{self, Decision, client_gone};
use super::remembered::Remembered;
use super::response;
use super::visit::Visit;
use crate::clients::Client;
use crate::context::Context;
use crate::http::csrf;
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::login::sessions::SignedIn;
use crate::pages::{ConsentPage, ConsentScope, ConsentWarning};
use crate::routes;

/// `GET /consent?request=HANDLE`.
pub(crate) async fn get(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    query: RawQuery,
) -> Result<Response, PageError> {
    let parameters = form::query(query)?;
    let visit = Visit::new(&ctx, &info, &headers, &parameters).await?;
    let Some(signed_in) = visit.signed_in(&ctx, &headers).await? else {
        return response::own_page(&ctx, routes::LOGIN, visit.handle);
    };
    let remembered = Remembered::find(&ctx, &visit.pending.request, &visit.client, &signed_in.user).await?;
    if remembered.allows(&visit.pending.request) {
        return approval::approve(
            &ctx,
            &Decision::repeated(&visit.pending, &visit.client, &signed_in, &remembered),
        )
        .await;
    }
    visit.consent_page(&ctx, &signed_in).await
}

/// `POST /consent`.
pub(crate) async fn post(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let parameters = form::read(&headers, &body)?;
    if !csrf::same_origin(&headers, &ctx.issuer) {
        return Err(foreign_form());
    }
    let visit = Visit::new(&ctx, &info, &headers, &parameters).await?;
    let Some(signed_in) = visit.signed_in(&ctx, &headers).await? else {
        return response::own_page(&ctx, routes::LOGIN, visit.handle);
    };
    let token = parameters.get("csrf_token")?.unwrap_or_default();
    if !csrf::check(
        &ctx.secrets,
        &visit.browser,
        &visit.csrf_subject(&signed_in),
        token,
    ) {
        return Err(foreign_form());
    }
    match parameters.require("decision")? {
        "allow" => {
            let offered = visit.offered();
            let allowed = chosen(&offered, &parameters)?;
            let decision = Decision::made(&visit.pending, &visit.client, &signed_in, &offered, &allowed);
            approval::approve(&ctx, &decision).await
        }
        "deny" => visit.deny(&ctx),
        "switch" => response::own_page(&ctx, routes::LOGIN, visit.handle),
        _ => Err(OAuthError::new(
            ErrorCode::InvalidRequest,
            "The decision must be allow, deny or switch.",
        )
        .into()),
    }
}

impl Visit<'_> {
    /// What the CSRF token is for: this request, decided by this person. When another person signs in in
    /// another tab, the page that shows the first one's account no longer counts.
    fn csrf_subject(&self, signed_in: &SignedIn) -> String {
        format!(
            "consent\n{}\n{}",
            base64url::encode(&signed_in.session.id),
            self.handle
        )
    }

    async fn consent_page(&self, ctx: &Context, signed_in: &SignedIn) -> Result<Response, PageError> {
        let request = &self.pending.request;
        let resource = self.resource(ctx).await?;
        let redirect_uri = RedirectUri::parse(&request.redirect_uri).map_err(|_| client_gone())?;
        let page = ConsentPage {
            base: ctx.issuer.path().to_owned(),
            request: self.handle.to_owned(),
            csrf_token: csrf::issue(&ctx.secrets, &self.browser, &self.csrf_subject(signed_in)),
            client_name: self.client.display_name().to_owned(),
            verified: self.client.source == ClientSource::Admin,
            client_host: self.client.host(),
            redirect_host: redirect_uri.host_for_display(),
            resource_name: resource.display_name.clone(),
            resource_uri: resource.uri.clone(),
            account: signed_in.user.email.clone(),
            scopes: self
                .offered()
                .iter()
                .map(|scope| described(&resource, scope.as_str()))
                .collect(),
            warning: warning(&self.client, &redirect_uri),
        };
        Ok(page.render_response(StatusCode::OK, Some(&request.redirect_uri)))
    }

    /// What the person decides about: what was asked for, and staying connected when the client would get
    /// refresh tokens by its registration alone.
    fn offered(&self) -> ScopeSet {
        let mut offered = self.pending.request.scopes.clone();
        if self.client.metadata.may_use(GrantType::RefreshToken)
            && let Ok(offline_access) = Scope::parse(OFFLINE_ACCESS)
        {
            offered.insert(offline_access);
        }
        offered
    }

    fn deny(&self, ctx: &Context) -> Result<Response, PageError> {
        let request = &self.pending.request;
        tracing::info!(client_id = %request.client_id, resource = %request.resource, "denied");
        let error = OAuthError::new(ErrorCode::AccessDenied, "The person did not allow it.");
        response::error(ctx, &request.redirect_uri, request.state.as_deref(), &error)
    }
}

/// What the person checked, of what was offered.
fn chosen(offered: &ScopeSet, parameters: &Parameters) -> Result<ScopeSet, PageError> {
    let checked: Vec<&str> = parameters.get_all("scope").collect();
    let chosen: ScopeSet = offered
        .iter()
        .filter(|scope| checked.contains(&scope.as_str()))
        .cloned()
        .collect();
    let counts = |scopes: &ScopeSet| scopes.iter().any(|scope| scope.as_str() != OFFLINE_ACCESS);
    if counts(offered) && !counts(&chosen) {
        return Err(PageError::new(
            StatusCode::BAD_REQUEST,
            "Nothing was chosen",
            "Go back and check at least one permission, or choose Deny.",
        ));
    }
    Ok(chosen)
}

fn described(resource: &Resource, name: &str) -> ConsentScope {
    let known = resource.scopes.iter().find(|scope| scope.name == name);
    ConsentScope {
        name: name.to_owned(),
        description: known.map(|scope| scope.description.clone()).unwrap_or_default(),
        checked: true,
    }
}

/// A warning when the answer could reach a program that only says that it is this client.
fn warning(client: &Client, redirect_uri: &RedirectUri) -> Option<ConsentWarning> {
    match redirect_uri.kind() {
        RedirectUriKind::Loopback
            if client.source == ClientSource::MetadataDocument && client.is_loopback_only() =>
        {
            Some(ConsentWarning::LoopbackOnly)
        }
        RedirectUriKind::PrivateUse => Some(ConsentWarning::PrivateUseScheme),
        _ => None,
    }
}

fn foreign_form() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "This form does not count",
        "It was sent from another page, browser or account than the one it was made for. Go back to the application and connect again.",
    )
}
