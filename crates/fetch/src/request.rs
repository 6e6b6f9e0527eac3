//! One request: what is sent, and what of the answer is accepted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Response;

use crate::cache::lifetime;
use crate::client::Route;
use crate::error::FetchError;
use crate::form::{FormAnswer, FormRequest};
use crate::policy::{FetchPolicy, Limits};
use crate::stream::{EventStream, StreamRequest};
use crate::target::{Target, address_is_allowed};

/// Longer entity tags are not worth keeping.
const MAX_ETAG: usize = 256;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

pub(crate) enum Answer {
    /// 304: the document that the entity tag names, for this long again.
    Unchanged { lifetime: Option<Duration> },
    Document {
        body: Bytes,
        etag: Option<String>,
        lifetime: Option<Duration>,
    },
}

pub(crate) async fn get(
    route: Route<'_>,
    policy: &FetchPolicy,
    target: &Target,
    etag: Option<&str>,
    fresh: bool,
    limits: &Limits,
) -> Result<Answer, FetchError> {
    let mut request = route
        .client
        .get(target.url.clone())
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity");
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    if fresh {
        // RFC 9111 §5.2.1.4: no cache on the way answers by itself.
        request = request.header(CACHE_CONTROL, "no-cache");
    }
    let response = request
        .send()
        .await
        .map_err(|error| FetchError::from_client(&error))?;
    check_peer(&response, route, target, policy)?;
    let lifetime = lifetime(response.headers(), limits);
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Answer::Unchanged { lifetime }),
        status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
            return Err(FetchError::Redirected);
        }
        status => return Err(FetchError::Status(status.as_u16())),
    }
    check_headers(response.headers())?;
    let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    let etag = etag.filter(|tag| tag.len() <= MAX_ETAG).map(str::to_owned);
    Ok(Answer::Document {
        body: read_body(response, limits.max_body).await?,
        etag,
        lifetime,
    })
}

/// Sends a form once. Every status but a redirect is an answer; what its body is, the caller finds out.
pub(crate) async fn post(
    route: Route<'_>,
    policy: &FetchPolicy,
    target: &Target,
    form: &FormRequest<'_>,
    limits: &Limits,
) -> Result<FormAnswer, FetchError> {
    let mut headers: HeaderMap = form.headers.iter().cloned().collect();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONTENT_TYPE, FORM);
    let mut response = route
        .client
        .post(target.url.clone())
        .headers(headers)
        .body(form.body.to_owned())
        .send()
        .await
        .map_err(|error| FetchError::from_client(&error))?;
    check_peer(&response, route, target, policy)?;
    if response.status().is_redirection() {
        return Err(FetchError::Redirected);
    }
    check_encoding(response.headers())?;
    Ok(FormAnswer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: read_body(response, limits.max_body).await?,
    })
}

/// Asks for an event stream; its body is not read yet.
pub(crate) async fn open(
    route: Route<'_>,
    policy: &FetchPolicy,
    target: &Target,
    request: &StreamRequest<'_>,
) -> Result<EventStream, FetchError> {
    let mut headers: HeaderMap = request.headers.iter().cloned().collect();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let asking = match request.form {
        None => route.client.get(target.url.clone()),
        Some(form) => {
            headers.insert(CONTENT_TYPE, FORM);
            route.client.post(target.url.clone()).body(form.to_owned())
        }
    };
    let response = asking
        .headers(headers)
        .send()
        .await
        .map_err(|error| FetchError::from_client(&error))?;
    check_peer(&response, route, target, policy)?;
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchError::Redirected),
        status => return Err(FetchError::Status(status.as_u16())),
    }
    check_encoding(response.headers())?;
    if essence(response.headers()) != "text/event-stream" {
        return Err(FetchError::NotAnEventStream);
    }
    Ok(EventStream::new(response, request.idle_timeout))
}

/// The resolver let only allowed addresses through, and literal ones were checked with the URL. That the
/// connection really went there is checked once more, should a library below change its ways.
fn check_peer(
    response: &Response,
    route: Route<'_>,
    target: &Target,
    policy: &FetchPolicy,
) -> Result<(), FetchError> {
    match response.remote_addr() {
        Some(peer) if !route.through_proxy && !address_is_allowed(&target.host, peer.ip(), policy) => {
            Err(FetchError::Blocked(target.host.clone()))
        }
        _ => Ok(()),
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), FetchError> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|encoding| {
        !encoding
            .to_str()
            .is_ok_and(|encoding| encoding.trim().eq_ignore_ascii_case("identity"))
    });
    if encoded { Err(FetchError::Encoded) } else { Ok(()) }
}

fn check_headers(headers: &HeaderMap) -> Result<(), FetchError> {
    check_encoding(headers)?;
    let essence = essence(headers);
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json.then_some(()).ok_or(FetchError::NotJson)
}

/// The content type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> String {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next();
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

async fn read_body(mut response: Response, max_body: usize) -> Result<Bytes, FetchError> {
    if response
        .content_length()
        .is_some_and(|length| length > max_body as u64)
    {
        return Err(FetchError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| FetchError::from_client(&error))?
    {
        if body.len() + chunk.len() > max_body {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
