//! Bounds on one request: the body's size, the time to send it, the time to answer it.

use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::failure::Failure;
use super::straight::Way;

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
    pub(super) async fn answer(&self, request: Request, way: Way<'_>) -> Response {
        let (parts, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(status) => {
                let mut response = way.refuse(parts, status).await;
                // The rest of the body is not worth reading: the connection ends with the answer.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                return response;
            }
        };
        match tokio::time::timeout(self.handler_time, way.answer(parts, body)).await {
            Ok(response) => response,
            Err(_) => Failure::from_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
        }
    }

    async fn read(&self, body: Body) -> Result<Bytes, StatusCode> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        // Known too large: refused before a byte is read, and before `100 Continue` asks for it.
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.body) {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let whole = collected(Limited::new(body, self.body));
        match tokio::time::timeout(self.body_time, whole).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}

/// The data of a body. Most come in one piece, which is the whole.
async fn collected(mut body: Limited<Body>) -> Result<Bytes, BoxError> {
    let first = data(&mut body).await?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = Vec::from(first);
    while !body.is_end_stream() {
        let more = data(&mut body).await?;
        if more.is_empty() {
            break;
        }
        whole.extend_from_slice(&more);
    }
    Ok(whole.into())
}

/// The next piece that has something; an empty one at the end.
async fn data(body: &mut Limited<Body>) -> Result<Bytes, BoxError> {
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data()
            && !piece.is_empty()
        {
            return Ok(piece);
        }
    }
    Ok(Bytes::new())
}
