//! Bounds on one request: the body's size, the time to send it, the time to answer it.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::failure::Failure;
use super::route::Endpoints;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The largest body, in bytes.
    pub(crate) body: usize,
    /// The longest time from the end of the headers to the end of the body.
    pub(crate) body_time: Duration,
    /// The longest time a handler has.
    pub(crate) handler_time: Duration,
}

impl Limits {
    /// For forms.
    pub(crate) const FORMS: Self = Self {
        body: 64 * 1024,
        body_time: Duration::from_secs(10),
        handler_time: Duration::from_secs(30),
    };
    /// For the operators' JSON.
    pub(crate) const JSON: Self = Self {
        body: 256 * 1024,
        ..Self::FORMS
    };
}

impl Limits {
    /// The endpoint's answer. The whole body is read first, so that no handler waits for a slow sender.
    pub(super) async fn answer(&self, request: Request, endpoints: Endpoints) -> Response {
        let (parts, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(status) => {
                let request = Request::from_parts(parts, Body::empty());
                let mut response = endpoints.refuse(request, status).await;
                // The rest of the body is not worth reading: the connection ends with the answer.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                return response;
            }
        };
        let answer = endpoints.answer(Request::from_parts(parts, body));
        match tokio::time::timeout(self.handler_time, answer).await {
            Ok(response) => response,
            Err(_) => Failure::from_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
        }
    }

    async fn read(&self, body: Body) -> Result<Body, StatusCode> {
        if body.is_end_stream() {
            return Ok(body);
        }
        // Known too large: refused before a byte is read, and before `100 Continue` asks for it.
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.body) {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let collected = Limited::new(body, self.body).collect();
        match tokio::time::timeout(self.body_time, collected).await {
            Ok(Ok(collected)) => Ok(Body::from(collected.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}
