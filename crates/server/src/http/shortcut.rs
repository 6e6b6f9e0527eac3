//! Documents that every client asks for, and that are the same for everybody: what the router answered is answered again,
//! without the router, as long as the document is the same.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{IF_NONE_MATCH, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::document::Document;
use super::metrics::{Metrics, RequestCount};

/// The way to a document.
pub(crate) struct Shortcut {
    path: String,
    at_hand: Box<dyn Fn() -> Option<Arc<Document>> + Send + Sync>,
    kept: ArcSwapOption<Kept>,
}

/// An answer of the router's.
pub(super) struct Kept {
    document: Arc<Document>,
    headers: HeaderMap,
    pub(super) route: String,
    pub(super) count: RequestCount,
}

impl Shortcut {
    /// To the document at this path, which is current when `at_hand` says so. It says nothing where that is not known
    /// without waiting.
    pub(crate) fn new(
        path: String,
        at_hand: impl Fn() -> Option<Arc<Document>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path,
            at_hand: Box::new(at_hand),
            kept: ArcSwapOption::empty(),
        }
    }

    /// Whether this request is a plain one for the document: its answer depends on nothing else.
    pub(super) fn leads(&self, request: &Request) -> bool {
        request.uri().path() == self.path
            && request.method() == Method::GET
            && !request.headers().contains_key(ORIGIN)
            && !request.headers().contains_key(IF_NONE_MATCH)
            && request.body().is_end_stream()
    }

    pub(super) fn document(&self) -> Option<Arc<Document>> {
        (self.at_hand)()
    }

    /// The answer, when it is known.
    pub(super) fn answer(&self) -> Option<(Response, Arc<Kept>)> {
        let document = self.document()?;
        let kept = self.kept.load_full()?;
        if !Arc::ptr_eq(&kept.document, &document) {
            return None;
        }
        let mut response = Response::new(Body::from(document.body()));
        *response.headers_mut() = kept.headers.clone();
        Some((response, kept))
    }

    /// Keeps an answer of the router's, which was asked when `document` was current.
    pub(super) fn keep(&self, document: Arc<Document>, response: &Response, route: &str, metrics: &Metrics) {
        let is_current = self.document().is_some_and(|now| Arc::ptr_eq(&now, &document));
        if response.status() == StatusCode::OK && is_current {
            self.kept.store(Some(Arc::new(Kept {
                document,
                headers: response.headers().clone(),
                route: route.to_owned(),
                count: metrics.requests(route, "GET", StatusCode::OK),
            })));
        }
    }
}

#[cfg(test)]
mod tests;
