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
use doorward_store::{Actor, AuditAction, ClientSource, Resource};
use http::{HeaderMap, StatusCode};

use super::approval::{self, Decision, client_gone};
use super::remembered::Remembered;
use super::request::Answer;
use super::response;
use super::visit::Visit;
use crate::audit::Refusal;
use crate::clients::Client;
use crate::context::Context;
use crate::http::csrf;
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::login::sessions::SignedIn;
use crate::pages::{
    ConsentDevice, ConsentPage, ConsentResource, ConsentScope, ConsentWarning, DeviceDonePage,
};
use crate::routes;

const NOTHING_CHOSEN: &str =
    "Check at least one thing that it may do, or choose Deny. Staying connected alone allows nothing.";

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
            &info,
            &Decision::repeated(&visit.pending, &visit.client, &signed_in, &remembered),
        )
        .await;
    }
    let page = visit.consent_page(&ctx, &signed_in).await?;
    Ok(page.render_response(StatusCode::OK, visit.pending.request.redirect_uri()))
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
    info.note_actor(Actor::Person(signed_in.user.id));
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
        how @ ("allow" | "hand_over") => {
            let offered = visit.offered();
            let allowed = chosen(&offered, &parameters);
            if is_nothing(&allowed) && !is_nothing(&offered) {
                return visit.ask_again(&ctx, &signed_in, &allowed).await;
            }
            let decision = Decision::made(&visit.pending, &visit.client, &signed_in, &offered, &allowed);
            let hand_over = how == "hand_over" && visit.may_hand_over();
            approval::approve_and(&ctx, &info, &decision, hand_over).await
        }
        "deny" => visit.deny(&ctx, &info, &signed_in).await,
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

    /// The page once more, as the person left it, with a sentence about what is missing.
    async fn ask_again(
        &self,
        ctx: &Context,
        signed_in: &SignedIn,
        checked: &ScopeSet,
    ) -> Result<Response, PageError> {
        let mut page = self.consent_page(ctx, signed_in).await?;
        for scope in &mut page.scopes {
            scope.checked = checked.contains(&scope.name);
        }
        page.error = Some(NOTHING_CHOSEN);
        Ok(page.render_response(StatusCode::BAD_REQUEST, self.pending.request.redirect_uri()))
    }

    async fn consent_page(&self, ctx: &Context, signed_in: &SignedIn) -> Result<ConsentPage, PageError> {
        let request = &self.pending.request;
        let targets = self.targets(ctx).await?;
        let resource = targets.merged();
        let redirect_uri = self.redirect_uri()?;
        let earlier = Remembered::find(ctx, request, &self.client, &signed_in.user)
            .await?
            .scopes();
        Ok(ConsentPage {
            base: ctx.issuer.path().to_owned(),
            request: self.handle.to_owned(),
            csrf_token: csrf::issue(&ctx.secrets, &self.browser, &self.csrf_subject(signed_in)),
            client_name: self.client.display_name().to_owned(),
            verified: self.client.source == ClientSource::Admin,
            client_host: self.client.host(),
            redirect_host: redirect_uri
                .as_ref()
                .map(RedirectUri::host_for_display)
                .unwrap_or_default(),
            returns_to_this_device: is_on_loopback(redirect_uri.as_ref()),
            device: self.device(),
            may_hand_over: self.may_hand_over(),
            resources: targets
                .iter()
                .map(|resource| ConsentResource {
                    name: resource.display_name.clone(),
                    uri: resource.uri.clone(),
                })
                .collect(),
            account: signed_in.user.email.clone(),
            scopes: self
                .offered()
                .iter()
                .map(|scope| described(&resource, &earlier, scope.as_str()))
                .collect(),
            warning: match &redirect_uri {
                Some(redirect_uri) => warning(&self.client, redirect_uri),
                None => Some(ConsentWarning::Device),
            },
            error: None,
        })
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

    async fn deny(
        &self,
        ctx: &Context,
        info: &RequestInfo,
        signed_in: &SignedIn,
    ) -> Result<Response, PageError> {
        let request = &self.pending.request;
        let actor = Actor::Person(signed_in.user.id);
        tracing::info!(
            request_id = &*info.id, address = %info.address, client_id = %request.client_id, resource = %request.resource,
            "denied"
        );
        match &request.answer {
            Answer::Redirect {
                redirect_uri, state, ..
            } => {
                let refusal = Refusal {
                    user: Some(signed_in.user.id),
                    client_id: Some(request.client_id.clone()),
                    resource: Some(request.resource.clone()),
                    ..Refusal::default()
                };
                let action = AuditAction::ConsentRefused;
                ctx.audit.refuse(info, &actor, action, "access_denied", refusal);
                let error = OAuthError::new(ErrorCode::AccessDenied, "The person did not allow it.");
                response::error(ctx, redirect_uri, state.as_deref(), &error)
            }
            Answer::Device { digest, .. } => {
                if request.device_has_expired(ctx.now()) {
                    return Err(approval::device_gone());
                }
                if !ctx.acting(info, actor).deny_device(digest, ctx.now()).await? {
                    return Err(approval::already_answered());
                }
                let page = DeviceDonePage::denied(ctx.issuer.path(), self.client.display_name());
                Ok(page.render_response(StatusCode::OK))
            }
        }
    }

    fn redirect_uri(&self) -> Result<Option<RedirectUri>, PageError> {
        let redirect_uri = self.pending.request.redirect_uri();
        redirect_uri
            .map(RedirectUri::parse)
            .transpose()
            .map_err(|_| client_gone())
    }

    fn device(&self) -> Option<ConsentDevice> {
        match &self.pending.request.answer {
            Answer::Device {
                user_code, address, ..
            } => Some(ConsentDevice {
                user_code: user_code.clone(),
                address: address.clone(),
            }),
            Answer::Redirect { .. } => None,
        }
    }

    /// Whether the client could run on a machine that this browser does not reach: its redirect URI is on loopback.
    fn may_hand_over(&self) -> bool {
        is_on_loopback(self.redirect_uri().ok().flatten().as_ref())
    }
}

fn is_on_loopback(redirect_uri: Option<&RedirectUri>) -> bool {
    redirect_uri.is_some_and(|uri| uri.kind() == RedirectUriKind::Loopback)
}

/// What the person checked, of what was offered.
fn chosen(offered: &ScopeSet, parameters: &Parameters) -> ScopeSet {
    let checked: Vec<&str> = parameters.get_all("scope").collect();
    offered
        .iter()
        .filter(|scope| checked.contains(&scope.as_str()))
        .cloned()
        .collect()
}

/// Staying connected by itself allows nothing.
fn is_nothing(scopes: &ScopeSet) -> bool {
    scopes.iter().all(|scope| scope.as_str() == OFFLINE_ACCESS)
}

fn described(resource: &Resource, earlier: &ScopeSet, name: &str) -> ConsentScope {
    let known = resource.scopes.iter().find(|scope| scope.name == name);
    ConsentScope {
        name: name.to_owned(),
        description: known.map(|scope| scope.description.clone()).unwrap_or_default(),
        checked: true,
        granted: earlier.contains(name),
    }
}

/// A warning when the answer could reach a program that only says that it is this client.
fn warning(client: &Client, redirect_uri: &RedirectUri) -> Option<ConsentWarning> {
    match redirect_uri.kind() {
        RedirectUriKind::Loopback => Some(ConsentWarning::Loopback),
        RedirectUriKind::PrivateUse => Some(ConsentWarning::PrivateUseScheme),
        RedirectUriKind::Https if client.source != ClientSource::Admin => Some(ConsentWarning::Unverified),
        RedirectUriKind::Https => None,
    }
}

fn foreign_form() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "This form does not count",
        "It was sent from another page, browser or account than the one it was made for. Go back to the application and connect again.",
    )
}
