//! `/device`: a person types the code that a device shows.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use doorward_store::{Actor, DeviceAuthorization, LoginThrottle};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::user_code::UserCode;
use crate::authorize::{Answer, AuthorizationRequest, Browser, Pending, Prompt, ask};
use crate::context::Context;
use crate::http::csrf::{self, BrowserId};
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::login::{Guess, sessions};
use crate::pages::DevicePage;

/// What the CSRF token is for.
const FORM: &str = "device";
/// One sentence for every wrong code: nobody learns which ones are in use.
const UNKNOWN: &str = "No device waits with this code. Type it as the device shows it, or start again there.";

/// `GET /device`. The address may carry the code (`verification_uri_complete`): it is filled in, and nothing more happens
/// before the person says so.
pub(crate) async fn get(
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
    query: RawQuery,
) -> Result<Response, PageError> {
    switched_on(&ctx)?;
    let parameters = form::query(query)?;
    let typed = parameters.get("user_code")?.and_then(UserCode::parse);
    let browser = Browser::of(&ctx, &headers)?;
    let shown = typed.map(|code| code.to_string()).unwrap_or_default();
    let page = page(&ctx, &browser.id, shown, None).render_response(StatusCode::OK);
    Ok(browser.mark(&ctx, page))
}

/// `POST /device`.
pub(crate) async fn post(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    switched_on(&ctx)?;
    let parameters = form::parse(&headers, &body)?;
    let browser = Browser::known(&ctx, &headers)?.ok_or_else(foreign_form)?;
    let token = parameters.get("csrf_token")?.unwrap_or_default();
    if !csrf::same_origin(&headers, &ctx.issuer) || !csrf::check(&ctx.secrets, &browser, FORM, token) {
        return Err(foreign_form());
    }
    let typed = parameters.get("user_code")?.unwrap_or_default();
    let guess = Guess::new(&browser, info.address, ctx.now());
    if let LoginThrottle::Wait(seconds) = guess.begin(&ctx).await? {
        return Ok(wait(&ctx, &browser, typed, seconds));
    }
    let found = match UserCode::parse(typed) {
        Some(code) => find(&ctx, &code).await?.map(|device| (code, device)),
        None => None,
    };
    let Some((code, device)) = found else {
        let page = page(&ctx, &browser, typed.to_owned(), Some(UNKNOWN.to_owned()));
        return Ok(page.render_response(StatusCode::BAD_REQUEST));
    };
    guess.was_right(&ctx).await?;
    let signed_in = sessions::current(&ctx, &headers).await?;
    if let Some(signed_in) = &signed_in {
        info.note_actor(Actor::Person(signed_in.user.id));
    }
    info.note_client(&device.client_id);
    let fingerprint = device.fingerprint.clone();
    let request = request(&ctx, &code, device).await?;
    let session = signed_in.as_ref().map(|signed_in| &signed_in.session);
    let pending = Pending::new(&ctx, request, fingerprint, session);
    let accepted = session.is_some_and(|session| pending.accepts(session));
    ask(&ctx, &headers, &pending, accepted)
}

/// The device that waits with this code and has no answer yet.
async fn find(ctx: &Context, code: &UserCode) -> Result<Option<DeviceAuthorization>, PageError> {
    let waiting = ctx
        .store
        .device_by_user_code(&code.digest(ctx), ctx.now())
        .await?;
    let Some(device) = waiting.filter(|device| !device.denied) else {
        return Ok(None);
    };
    let is_answered = ctx.store.code(&device.digest).await?.is_some();
    Ok(Some(device).filter(|_| !is_answered))
}

/// The device's request, on the road of every other one.
async fn request(
    ctx: &Context,
    code: &UserCode,
    device: DeviceAuthorization,
) -> Result<AuthorizationRequest, PageError> {
    let asked: Vec<&str> = device.resources.iter().map(String::as_str).collect();
    let targets = ctx.resources.resolve_all(&asked).await?;
    Ok(AuthorizationRequest {
        client_id: device.client_id,
        answer: Answer::Device {
            digest: device.digest,
            user_code: code.to_string(),
            address: device.address,
            expires_at: device.expires_at,
        },
        resource: targets.first().uri.clone(),
        more_resources: targets.more_uris(),
        scopes: device.scopes,
        prompt: Prompt::default(),
        max_age: targets.max_auth_age(),
        login_hint: None,
    })
}

fn page(ctx: &Context, browser: &BrowserId, user_code: String, error: Option<String>) -> DevicePage {
    DevicePage {
        base: ctx.issuer.path().to_owned(),
        csrf_token: csrf::issue(&ctx.secrets, browser, FORM),
        user_code,
        error,
    }
}

fn wait(ctx: &Context, browser: &BrowserId, typed: &str, seconds: u64) -> Response {
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let error = format!("Too many attempts. Try again in {seconds} {unit}.");
    let mut response =
        page(ctx, browser, typed.to_owned(), Some(error)).render_response(StatusCode::TOO_MANY_REQUESTS);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn switched_on(ctx: &Context) -> Result<(), PageError> {
    if ctx.settings.device.enabled {
        return Ok(());
    }
    Err(PageError::new(
        StatusCode::NOT_FOUND,
        "Devices cannot be connected here",
        "The operator has switched it off. Connect from a browser on the same machine instead.",
    ))
}

fn foreign_form() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "This form does not count",
        "It was sent from another page or browser than the one it was made for. Open the page again and type the code there.",
    )
}
