//! `/login`: e-mail address and password. Every refusal reads the same and takes the same time, whether the
//! account is there or not.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use doorward_store::User;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::known_browser;
use super::logout;
use super::sessions;
use super::sign_in::{Outcome, sign_in};
use crate::authorize::{Browser, Visit, own_page, see_other};
use crate::context::Context;
use crate::email::MAX_EMAIL;
use crate::http::csrf::{self, BrowserId};
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::pages::{LoginPage, SignedInPage};
use crate::routes;

const REFUSED: &str = "The e-mail address or the password is not right. Try again.";

/// `GET /login`, with a pending request or without.
pub(crate) async fn get(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    query: RawQuery,
) -> Result<Response, PageError> {
    let parameters = form::query(query)?;
    if parameters.get("request")?.is_some() {
        let visit = Visit::new(&ctx, &info, &headers, &parameters).await?;
        let form = Form::of_request(&ctx, &visit).await?;
        let email = visit.pending.request.login_hint.clone().unwrap_or_default();
        return Ok(form.page(&ctx, email, StatusCode::OK, None));
    }
    if let Some(signed_in) = sessions::current(&ctx, &headers).await? {
        return signed_in_page(&ctx, &headers, &signed_in.user);
    }
    let browser = Browser::of(&ctx, &headers)?;
    let page = Form::plain(browser.id.clone()).page(&ctx, String::new(), StatusCode::OK, None);
    Ok(browser.mark(&ctx, page))
}

/// `POST /login`.
pub(crate) async fn post(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let parameters = form::parse(&headers, &body)?;
    if !csrf::same_origin(&headers, &ctx.issuer) {
        return Err(foreign_form());
    }
    let field = |name| parameters.get(name).map(Option::unwrap_or_default);
    let handle = field("request")?;
    let form = if handle.is_empty() {
        Form::plain(Browser::known(&ctx, &headers)?.ok_or_else(foreign_form)?)
    } else {
        Form::of_request(&ctx, &Visit::new(&ctx, &info, &headers, &parameters).await?).await?
    };
    if !csrf::check(
        &ctx.secrets,
        &form.browser,
        &form.csrf_subject(),
        field("csrf_token")?,
    ) {
        return Err(foreign_form());
    }

    let (email, password) = (field("email")?.trim(), field("password")?);
    let user = match sign_in(&ctx, &info, &headers, &form.browser, email, password).await? {
        Outcome::SignedIn(user) => user,
        Outcome::Refused => {
            return Ok(form.page(
                &ctx,
                email.to_owned(),
                StatusCode::BAD_REQUEST,
                Some(REFUSED.into()),
            ));
        }
        Outcome::Wait(seconds) => return Ok(form.wait(&ctx, email.to_owned(), seconds)),
    };
    let mut response = if handle.is_empty() {
        see_other(&format!("{}{}", ctx.issuer.path(), routes::LOGIN))?
    } else {
        own_page(&ctx, routes::CONSENT, handle)?
    };
    for cookie in [
        sessions::start(&ctx, &info, &headers, &user).await?,
        known_browser::cookie(&ctx, &form.browser, &user),
    ] {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The login form: on its own, or on the way of a request.
struct Form {
    browser: BrowserId,
    handle: String,
    client_name: Option<String>,
    resource_name: Option<String>,
    redirect_uri: Option<String>,
}

impl Form {
    fn plain(browser: BrowserId) -> Self {
        Self {
            browser,
            handle: String::new(),
            client_name: None,
            resource_name: None,
            redirect_uri: None,
        }
    }

    async fn of_request(ctx: &Context, visit: &Visit<'_>) -> Result<Self, PageError> {
        Ok(Self {
            browser: visit.browser.clone(),
            handle: visit.handle.to_owned(),
            client_name: Some(visit.client.display_name().to_owned()),
            resource_name: Some(visit.targets(ctx).await?.merged().display_name),
            redirect_uri: visit.pending.request.redirect_uri().map(str::to_owned),
        })
    }

    /// What the CSRF token is for.
    fn csrf_subject(&self) -> String {
        format!("login\n{}", self.handle)
    }

    fn page(&self, ctx: &Context, email: String, status: StatusCode, error: Option<String>) -> Response {
        let page = LoginPage {
            base: ctx.issuer.path().to_owned(),
            request: self.handle.clone(),
            csrf_token: csrf::issue(&ctx.secrets, &self.browser, &self.csrf_subject()),
            email: Some(email)
                .filter(|email| email.len() <= MAX_EMAIL)
                .unwrap_or_default(),
            error,
            client_name: self.client_name.clone(),
            resource_name: self.resource_name.clone(),
        };
        page.render_response(status, self.redirect_uri.as_deref())
    }

    fn wait(&self, ctx: &Context, email: String, seconds: u64) -> Response {
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let error = format!("Too many attempts. Try again in {seconds} {unit}.");
        let mut response = self.page(ctx, email, StatusCode::TOO_MANY_REQUESTS, Some(error));
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

/// The page of a person who is signed in and for whom nothing waits.
pub(super) fn signed_in_page(ctx: &Context, headers: &HeaderMap, user: &User) -> Result<Response, PageError> {
    let browser = Browser::of(ctx, headers)?;
    let page = SignedInPage {
        base: ctx.issuer.path().to_owned(),
        account: user.email.clone(),
        csrf_token: csrf::issue(&ctx.secrets, &browser.id, logout::FORM),
    };
    Ok(browser.mark(ctx, page.render_response(StatusCode::OK)))
}

pub(super) fn foreign_form() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "This form does not count",
        "It was sent from another page or browser than the one it was made for. Open the page again and fill it in there.",
    )
}
