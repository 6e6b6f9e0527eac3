//! What is around the router: gives a request its id and address, and an answer its headers, its error text, its
//! log line and its place in the metrics. Nothing that a handler does, a panic included, gets past it.
//!
//! One service, and no stack of layers: each layer of a router is a copy of everything below it and a boxed future, for
//! every request.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use doorward_store::{Actor, AuditAction};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use tokio::time::Instant;
use tower::Service;

use super::address::TrustedProxies;
use super::cors::OpenRoutes;
use super::error::SentBack;
use super::failure::{Asked, Failure, code_for};
use super::headers;
use super::host::AllowedHosts;
use super::limits::Limits;
use super::line::{Line, Told};
use super::metrics::Metrics;
use super::request::{RequestIds, RequestInfo, callers_id};
use super::route::Endpoints;
use super::shares::Shares;
use super::shortcut::Shortcut;
use super::straight::{Straight, Way};
use crate::audit::{Recorder, Refusal};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A mark on an answer whose status tells of a failure, and which is as somebody wants it: nobody has to look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intended;

/// What is needed around the router.
pub(crate) struct Envelope {
    pub(super) ids: RequestIds,
    pub(super) metrics: Metrics,
    pub(super) proxies: TrustedProxies,
    /// Whether browsers are told to come by HTTPS only (RFC 6797).
    pub(super) hsts: bool,
    /// The issuer's path, for links on error pages; `None` on a server without pages.
    pub(super) pages: Option<String>,
    /// Writes down what is refused; a router that is tested without a server has none.
    pub(super) recorder: Option<Arc<Recorder>>,
    /// One for each request, and against DNS rebinding.
    pub(super) hosts: AllowedHosts,
    pub(super) limits: Limits,
    /// Room for bodies.
    pub(super) bodies: Shares,
    /// What other origins may read.
    pub(super) open: Option<OpenRoutes>,
    /// Around the router.
    pub(super) shortcuts: Vec<Shortcut>,
    /// Past the router.
    pub(super) straight: Vec<Straight>,
}

/// A router in its envelope.
#[derive(Clone)]
pub(super) struct Sealed {
    envelope: Arc<Envelope>,
    endpoints: Endpoints,
}

impl Sealed {
    pub(super) fn new(envelope: Envelope, router: Router) -> Self {
        Self {
            envelope: Arc::new(envelope),
            endpoints: Endpoints::new(router),
        }
    }
}

impl Service<Request> for Sealed {
    type Response = Response;
    type Error = Infallible;
    type Future =
        Either<Ready<Result<Response, Infallible>>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Looked for once: few requests have one.
        let shortcut = self.envelope.shortcut(&request);
        if let Some(response) = shortcut.and_then(|at| self.envelope.known_answer(&request, at)) {
            return Either::Left(ready(Ok(response)));
        }
        let (envelope, endpoints) = (Arc::clone(&self.envelope), self.endpoints.clone());
        Either::Right(Box::pin(async move {
            Ok(envelope.seal(request, endpoints, shortcut).await)
        }))
    }
}

impl Envelope {
    /// Which of the shortcuts leads to what is asked for.
    fn shortcut(&self, request: &Request) -> Option<usize> {
        self.shortcuts.iter().position(|shortcut| shortcut.leads(request))
    }

    /// The answer to a request for a document, when the router has given it before.
    fn known_answer(&self, request: &Request, shortcut: usize) -> Option<Response> {
        let shortcut = self.shortcuts.get(shortcut)?;
        let started = Instant::now();
        if self.hosts.check(request).is_err() {
            return None;
        }
        let (mut response, kept) = shortcut.answer()?;
        let id = self.ids.next();
        set_request_id(&mut response, &id);
        let seconds = started.elapsed().as_secs_f64();
        kept.count.add(seconds);
        let line = Line {
            id: &id,
            callers_id: callers_id(request.headers()),
            address: self.address(request),
            info: None,
            method: "GET",
            route: &kept.route,
            seconds,
        };
        line.log(StatusCode::OK, &Told::default(), false);
        Some(response)
    }

    async fn seal(&self, mut request: Request, endpoints: Endpoints, shortcut: Option<usize>) -> Response {
        let started = Instant::now();
        let address = self.address(&request);
        let info = RequestInfo::new(self.ids.next(), request.headers(), address);
        let shortcut = shortcut
            .and_then(|at| self.shortcuts.get(at))
            .and_then(|shortcut| Some((shortcut, shortcut.document()?)));
        let asked = Asked::new(request.headers());
        let method = method_label(request.method());
        let origin = request.headers().get(ORIGIN).cloned();
        let straight = self.straight.iter().find(|straight| straight.leads(&request));
        let way = if let Some(straight) = straight {
            info.note_known_route(straight.route());
            Way::Straight(straight, info.clone())
        } else {
            request.extensions_mut().insert(info.clone());
            Way::Routed(endpoints)
        };

        let mut response = match AssertUnwindSafe(self.answer(request, way, address))
            .catch_unwind()
            .await
        {
            Ok(response) => response,
            Err(panic) => Failure::panicked(panic_text(panic.as_ref())).into_response(),
        };
        let failure = finish(&mut response, asked, &info, self);

        let seconds = started.elapsed().as_secs_f64();
        let route = info.route();
        if let (Some(open), Some(origin), true) = (&self.open, origin, failure.is_some()) {
            open.complete(route, origin, &mut response).await;
        }
        match straight {
            Some(straight) => straight.count(&self.metrics, response.status(), seconds),
            None => self.metrics.request(route, method, response.status(), seconds),
        }
        if failure.as_ref().is_some_and(|failure| failure.store) {
            self.metrics.store_error();
        }
        if let (Some((shortcut, document)), None) = (shortcut, &failure) {
            shortcut.keep(document, &response, route, &self.metrics);
        }
        let line = Line {
            id: &info.id,
            callers_id: info.callers_id(),
            address,
            info: Some(&info),
            method,
            route,
            seconds,
        };
        let intended = response.extensions_mut().remove::<Intended>().is_some()
            || failure.as_ref().is_some_and(Failure::is_for_want_of_room);
        let sent_back = response.extensions_mut().remove::<SentBack>();
        let told = Told::of(failure.as_ref(), sent_back.as_ref());
        if let Some(error) = told.error {
            self.metrics.error(route, error);
        }
        line.log(response.status(), &told, intended);
        if let Some(recorder) = &self.recorder {
            if let Some(failure) = &failure {
                write_down(recorder, &info, method, route, failure);
            }
            let refused = refused(response.status(), failure.as_ref(), sent_back.as_ref());
            if let Some((why, status)) = refused.filter(|_| !info.is_told()) {
                recorder.count(&info, info.actor_kind(), why, status);
            }
        }
        response
    }

    /// Where a request comes from, behind trusted proxies.
    fn address(&self, request: &Request) -> IpAddr {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        self.proxies.client_address(peer, request.headers())
    }

    async fn answer(&self, request: Request, way: Way<'_>, address: IpAddr) -> Response {
        if let Err(status) = self.hosts.check(&request) {
            let (parts, _) = request.into_parts();
            return way.refuse(parts, status).await;
        }
        self.limits.answer(request, way, &self.bodies, address).await
    }
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
    headers::complete(response.headers_mut(), envelope.hsts);
    set_request_id(response, &info.id);
    failure
}

fn set_request_id(response: &mut Response, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
}

/// An error that a library made: its text, if any, is not ours to pass on.
fn unexplained(response: &Response) -> Option<Failure> {
    let status = response.status();
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    // The body of an answer to HEAD is gone, and its length is still there.
    let length = response.headers().get(CONTENT_LENGTH);
    let is_empty =
        response.body().size_hint().exact() == Some(0) && length.is_none_or(|length| length == "0");
    let bare = is_empty || kind.starts_with("text/plain");
    ((status.is_client_error() || status.is_server_error()) && bare).then(|| Failure::from_status(status))
}

/// What a proven caller was refused, or who showed a wrong credential for somebody whom an operator let in. A fault of the
/// server is no refusal, and to be told to come later costs no row: who comes too often would make as many. It is counted.
fn write_down(recorder: &Recorder, info: &RequestInfo, method: &str, route: &str, failure: &Failure) {
    if !failure.status.is_client_error() || NOT_YET.contains(&failure.code) {
        return;
    }
    let refusal = || Refusal {
        target: Some(format!("{method} {route}")),
        status: Some(failure.status.as_u16()),
        ..Refusal::default()
    };
    if let Some(mistaken) = info.mistaken() {
        recorder.refuse_stranger(info, mistaken, failure.code, refusal());
        return;
    }
    if failure.status == StatusCode::TOO_MANY_REQUESTS {
        return;
    }
    let Some(actor) = info.untold() else { return };
    let user = match actor {
        Actor::Person(user) => Some(*user),
        _ => None,
    };
    let refusal = Refusal { user, ..refusal() };
    recorder.refuse(info, actor, AuditAction::RequestRefused, failure.code, refusal);
}

/// What a device is told while nobody has answered (RFC 8628 §3.5). "Not yet" is no refusal.
const NOT_YET: [&str; 2] = ["authorization_pending", "slow_down"];

/// Why an answer says no, and its status where that says so too. A fault of the server is no refusal.
fn refused(
    status: StatusCode,
    failure: Option<&Failure>,
    sent_back: Option<&SentBack>,
) -> Option<(&'static str, Option<u16>)> {
    if let Some(failure) = failure {
        let is_refusal = failure.status.is_client_error() || failure.is_for_want_of_room();
        return (is_refusal && !NOT_YET.contains(&failure.code))
            .then_some((failure.code, Some(failure.status.as_u16())));
    }
    if let Some(sent_back) = sent_back {
        return (!sent_back.is_fault).then_some((sent_back.code, None));
    }
    // A form that is shown once more.
    status
        .is_client_error()
        .then(|| (code_for(status), Some(status.as_u16())))
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
