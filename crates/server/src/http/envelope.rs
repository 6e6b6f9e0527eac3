//! The outermost layer: gives a request its id and address, and an answer its headers, its error text, its
//! log line and its place in the metrics. Nothing that a handler does, a panic included, gets past it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use doorward_store::AuditAction;
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::address::TrustedProxies;
use super::failure::{Asked, Failure};
use super::headers;
use super::metrics::Metrics;
use super::request::RequestInfo;
use crate::audit::{Recorder, Refusal};
use crate::random::Random;

/// What the outermost layer needs.
#[derive(Clone)]
pub(crate) struct Envelope {
    pub(super) random: Arc<dyn Random>,
    pub(super) metrics: Metrics,
    pub(super) proxies: TrustedProxies,
    pub(super) https: bool,
    /// The issuer's path, for links on error pages; `None` on a server without pages.
    pub(super) pages: Option<String>,
    /// Writes down what is refused; a router that is tested without a server has none.
    pub(super) recorder: Option<Arc<Recorder>>,
}

/// The layer.
pub(super) async fn seal(State(envelope): State<Envelope>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = envelope.proxies.client_address(peer, request.headers());
    let info = RequestInfo::new(request.headers(), address, envelope.random.as_ref());
    let asked = Asked::new(request.headers());
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    request.extensions_mut().insert(info.clone());

    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => Failure::panicked(panic_text(panic.as_ref())).into_response(),
    };
    let failure = finish(&mut response, asked, &info, &envelope);

    let seconds = started.elapsed().as_secs_f64();
    envelope
        .metrics
        .request(route, method, response.status(), seconds);
    if failure.as_ref().is_some_and(|failure| failure.store) {
        envelope.metrics.store_error();
    }
    log(&info, method, route, &response, seconds, failure.as_ref());
    if let (Some(recorder), Some(failure)) = (&envelope.recorder, &failure) {
        write_down(recorder, &info, method, route, failure);
    }
    response
}

/// Completes an error, then the headers.
fn finish(response: &mut Response, asked: Asked, info: &RequestInfo, envelope: &Envelope) -> Option<Failure> {
    let failure = response
        .extensions_mut()
        .remove::<Failure>()
        .or_else(|| unexplained(response));
    if let Some(failure) = &failure {
        failure.render(response, asked, &info.id, envelope.pages.as_deref());
    }
    headers::complete(response.headers_mut(), envelope.https);
    if let Ok(id) = HeaderValue::from_str(&info.id) {
        response.headers_mut().insert("x-request-id", id);
    }
    failure
}

/// An error that a library made: its text, if any, is not ours to pass on.
fn unexplained(response: &Response) -> Option<Failure> {
    let status = response.status();
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let bare = response.body().size_hint().exact() == Some(0) || kind.starts_with("text/plain");
    ((status.is_client_error() || status.is_server_error()) && bare).then(|| Failure::from_status(status))
}

/// What a proven caller was refused. A fault of the server is no refusal, and to be told to come later costs no row: who
/// comes too often would make as many.
fn write_down(recorder: &Recorder, info: &RequestInfo, method: &str, route: &str, failure: &Failure) {
    if !failure.status.is_client_error() || failure.status == StatusCode::TOO_MANY_REQUESTS {
        return;
    }
    let Some(actor) = info.untold() else { return };
    let refusal = Refusal {
        target: Some(format!("{method} {route}")),
        status: Some(failure.status.as_u16()),
        ..Refusal::default()
    };
    recorder.refuse(info, actor, AuditAction::RequestRefused, &failure.code, refusal);
}

/// Methods as a label: a stranger's invention does not become a time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without words"))
}

/// One event a request: never query strings, bodies, cookies or credentials. What strangers wrote is
/// escaped (`?`).
fn log(
    info: &RequestInfo,
    method: &str,
    route: &str,
    response: &Response,
    seconds: f64,
    failure: Option<&Failure>,
) {
    let status = response.status().as_u16();
    let client_id = info.client_id();
    let caller_request_id = info.callers_id();
    let error = failure.map(|failure| failure.code.as_ref());
    let internal = failure.and_then(|failure| failure.internal.as_deref());
    let ms = (seconds * 1e6).round() / 1e3;
    if status >= 500 {
        tracing::error!(
            target: "doorward::request",
            request_id = %info.id, caller_request_id, method, route, status, ms, client_id, error, internal, "request failed",
        );
    } else {
        tracing::info!(
            target: "doorward::request",
            request_id = %info.id, caller_request_id, method, route, status, ms, client_id, error, internal, "request",
        );
    }
}
