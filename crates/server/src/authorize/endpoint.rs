//! `/oauth/authorize` (OAuth 2.1 §3.1): checks the request, then sends the person on to sign in or to decide,
//! or, when everything has been decided before, back to the client.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::redirect::RedirectUri;
use doorward_store::ClientSource;
use http::{HeaderMap, StatusCode, header};

use super::approval::{self, Decision};
use super::browser::Browser;
use super::par;
use super::pending::Pending;
use super::remembered::Remembered;
use super::request::{Answer, AuthorizationRequest, Refusal, ReturnTo};
use super::response;
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::login::sessions::{self, SignedIn};
use crate::routes;

/// The longest form body that becomes a query: what servers and proxies take as a request line.
const MAX_FORM: usize = 8 * 1024;

/// `GET /oauth/authorize`.
pub(crate) async fn get(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    query: RawQuery,
) -> Result<Response, PageError> {
    let parameters = form::query(query)?;
    if let Ok(Some(client_id)) = parameters.get("client_id") {
        info.note_claimed_client(client_id);
    }
    let signed_in = sessions::current(&ctx, &headers).await?;
    if let Some(pushed) = par::Pushed::of_request(&ctx, &parameters)? {
        let client = ctx
            .clients
            .resolve(&pushed.request.client_id, info.address)
            .await?;
        info.note_client(&client.client_id);
        let (request, reference) = pushed.open_for(&client)?;
        return proceed(
            &ctx,
            &info,
            &headers,
            request,
            Some(reference),
            &client,
            signed_in,
        )
        .await;
    }
    match AuthorizationRequest::parse(&ctx, &info, &parameters).await {
        Ok((request, client)) => proceed(&ctx, &info, &headers, request, None, &client, signed_in).await,
        Err(Refusal::Page(error)) => Err(error),
        Err(Refusal::Client(return_to, error)) => refuse(&ctx, &return_to, error, false),
    }
}

/// `POST /oauth/authorize` (RFC 6749 §3.1): the same with the parameters in the body. A form on another site
/// comes without our cookies, so the browser is asked to come back with `GET`.
pub(crate) async fn post(
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    form::read(&headers, &body)?;
    match std::str::from_utf8(&body) {
        Ok(query) if query.len() <= MAX_FORM && query.bytes().all(|byte| byte.is_ascii_graphic()) => {
            response::see_other(&format!("{}{}?{query}", ctx.issuer.path(), routes::AUTHORIZE))
        }
        _ => Err(PageError::new(
            StatusCode::BAD_REQUEST,
            "This request cannot be read",
            "Send at most 8 KiB of parameters, and percent-encode them.",
        )),
    }
}

async fn proceed(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    request: AuthorizationRequest,
    pushed_as: Option<par::Reference>,
    client: &Client,
    signed_in: Option<SignedIn>,
) -> Result<Response, PageError> {
    let session = signed_in.as_ref().map(|signed_in| &signed_in.session);
    let mut pending = Pending::new(ctx, request, client.fingerprint.clone(), session);
    if let Some(reference) = &pushed_as {
        pending.is_pushed_as(reference.id.clone());
    }
    let signed_in = signed_in.filter(|signed_in| pending.accepts(&signed_in.session));
    let remembered = match &signed_in {
        Some(signed_in) => Remembered::find(ctx, &pending.request, client, &signed_in.user).await?,
        None => Remembered::default(),
    };

    remember_scopes(ctx, &mut pending, &remembered).await?;
    // After everything that is looked up: who tries again when that fails has it still. Before an approval, so that whoever
    // opens a request for the second time takes nothing from the first; when that fails, the application pushes it again.
    if let Some(reference) = &pushed_as {
        reference.use_up(ctx).await?;
    }
    if let Some(signed_in) = signed_in.as_ref().filter(|_| remembered.allows(&pending.request)) {
        return approval::approve(
            ctx,
            info,
            &Decision::repeated(&pending, client, signed_in, &remembered),
        )
        .await;
    }
    if pending.request.prompt.is_nothing()
        && let Answer::Redirect {
            redirect_uri, state, ..
        } = pending.request.answer
    {
        let error = silent_error(signed_in.is_some());
        let return_to = ReturnTo {
            source: client.source,
            redirect_uri,
            state,
        };
        return refuse(ctx, &return_to, error, remembered.knows_redirect_uri());
    }
    ask(ctx, headers, &pending, signed_in.is_some())
}

/// Sends the person on to sign in, or to decide.
pub(crate) fn ask(
    ctx: &Context,
    headers: &HeaderMap,
    pending: &Pending,
    is_signed_in: bool,
) -> Result<Response, PageError> {
    let browser = Browser::of(ctx, headers)?;
    let page = if is_signed_in {
        routes::CONSENT
    } else {
        routes::LOGIN
    };
    let mut response = response::own_page(ctx, page, &browser.handle(ctx, pending)?)?;
    if let Some(cookie) = browser.tab_cookie(ctx) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(browser.mark(ctx, response))
}

/// Lets a request for one more scope keep those that were allowed before.
async fn remember_scopes(
    ctx: &Context,
    pending: &mut Pending,
    remembered: &Remembered,
) -> Result<(), PageError> {
    if !ctx.settings.tokens.scope_memory {
        return Ok(());
    }
    if let Some(resource) = ctx.resources.by_uri(&pending.request.resource).await? {
        pending.request.scopes = remembered.with_earlier(&pending.request.scopes, &resource);
    }
    Ok(())
}

/// `prompt=none` (OpenID Connect Core §3.1.2.6).
fn silent_error(is_signed_in: bool) -> OAuthError {
    if is_signed_in {
        OAuthError::new(
            ErrorCode::ConsentRequired,
            "The person has to be asked. Send the request without prompt=none.",
        )
    } else {
        OAuthError::new(
            ErrorCode::LoginRequired,
            "The person has to sign in. Send the request without prompt=none.",
        )
    }
}

/// Tells the client, if it is one that may be redirected to before a person has done anything: one that an
/// operator registered, or one that the person has sent to that address before. A stranger who registered
/// itself would otherwise make this server an open redirector (RFC 9700 §4.11.2).
fn refuse(ctx: &Context, to: &ReturnTo, error: OAuthError, trusted: bool) -> Result<Response, PageError> {
    if trusted || to.source == ClientSource::Admin {
        return response::error(ctx, &to.redirect_uri, to.state.as_deref(), &error);
    }
    let mut page = PageError::from(error);
    if let Ok(redirect_uri) = RedirectUri::parse(&to.redirect_uri) {
        let host = redirect_uri.host_for_display();
        page.message = format!(
            "{} The request came from an application that is answered at {host}.",
            page.message
        )
        .into();
    }
    Err(page)
}
