//! The endpoints that programs call all the time. What comes to one of them, and from no page of a browser's, goes straight
//! to its handler: the router would look for the path, copy the headers and box what it is about to do at every step.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::failure::Failure;
use super::metrics::{Metrics, RequestCount};
use super::request::RequestInfo;
use super::route::Endpoints;

type Handler = Box<dyn Fn(RequestInfo, HeaderMap, Bytes) -> BoxFuture<'static, Response> + Send + Sync>;

/// The way to an endpoint.
pub(crate) struct Straight {
    path: Arc<str>,
    handler: Handler,
    /// Where good answers are counted.
    count: OnceLock<RequestCount>,
}

impl Straight {
    /// To the endpoint that takes `POST` at this path.
    pub(crate) fn new<F>(
        path: String,
        handler: impl Fn(RequestInfo, HeaderMap, Bytes) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self {
            path: path.into(),
            handler: Box::new(move |info, headers, body| handler(info, headers, body).boxed()),
            count: OnceLock::new(),
        }
    }

    /// Whether it leads to where this request goes. With an origin the answer has to say who may read it, as the router does.
    pub(super) fn leads(&self, request: &Request) -> bool {
        request.uri().path() == &*self.path
            && request.method() == Method::POST
            && !request.headers().contains_key(ORIGIN)
    }

    /// The path as the router has it.
    pub(super) fn route(&self) -> &Arc<str> {
        &self.path
    }

    /// Counts an answer.
    pub(super) fn count(&self, metrics: &Metrics, status: StatusCode, seconds: f64) {
        if status == StatusCode::OK {
            let count = self
                .count
                .get_or_init(|| metrics.requests(&self.path, "POST", status));
            count.add(seconds);
        } else {
            metrics.request(&self.path, "POST", status, seconds);
        }
    }
}

/// Where a request goes.
pub(super) enum Way<'s> {
    Routed(Endpoints),
    Straight(&'s Straight, RequestInfo),
}

impl Way<'_> {
    /// The answer of the endpoint.
    pub(super) async fn answer(self, parts: Parts, body: Bytes) -> Response {
        match self {
            Self::Routed(endpoints) => {
                endpoints
                    .answer(Request::from_parts(parts, Body::from(body)))
                    .await
            }
            Self::Straight(straight, info) => (straight.handler)(info, parts.headers, body).await,
        }
    }

    /// Refuses a request on its route. It reaches no endpoint.
    pub(super) async fn refuse(self, parts: Parts, status: StatusCode) -> Response {
        match self {
            Self::Routed(endpoints) => {
                endpoints
                    .refuse(Request::from_parts(parts, Body::empty()), status)
                    .await
            }
            Self::Straight(..) => Failure::from_status(status).into_response(),
        }
    }
}

#[cfg(test)]
mod tests;
