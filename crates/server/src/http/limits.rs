//! Bounds on one request: the body's size, the time to send it, the time to answer it; and on what all requests together
//! hold in memory meanwhile.

use std::net::IpAddr;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::failure::Failure;
use super::no_room::NoRoom;
use super::shares::{Share, Shares};
use super::straight::Way;

/// What bodies, with the heads of their requests, may hold in memory, in bytes: a thousand of the largest.
const BODIES: usize = 64 * 1024 * 1024;

/// What a request holds without being counted: most are no larger, and find room whatever others do. Connections and their
/// streams are bounded.
const UNCOUNTED: usize = 4096;

/// What a header costs beside its bytes, as HTTP/2 counts it (RFC 9113 §6.5.2).
const HEADER: usize = 32;

/// Room for bodies that come, until their requests are answered. An address has a sixteenth.
pub(super) fn room_for_bodies() -> Shares {
    Shares::new(BODIES, BODIES / 16)
}

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
    pub(super) async fn answer(
        &self,
        request: Request,
        way: Way<'_>,
        room: &Shares,
        address: IpAddr,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let mut held = Held {
            head: 0,
            share: Share::new(room, address),
        };
        let body = match self.read(&parts, body, &mut held).await {
            Ok(body) => body,
            Err(status) => {
                let mut response = way.refuse(parts, status).await;
                // The rest of the body is not worth reading: the connection ends with the answer.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    explain(&mut response);
                }
                return response;
            }
        };
        let answer = tokio::time::timeout(self.handler_time, way.answer(parts, body)).await;
        answer.unwrap_or_else(|_| {
            let internal = format!("no answer in {} s", self.handler_time.as_secs());
            Failure::from_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_internal(internal)
                .into_response()
        })
    }

    async fn read(&self, parts: &Parts, body: Body, held: &mut Held<'_>) -> Result<Bytes, StatusCode> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        // Known too large: refused before a byte is read, and before `100 Continue` asks for it.
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.body) {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        held.head = length_of_head(parts);
        let whole = self.collected(Limited::new(body, self.body), held);
        match tokio::time::timeout(self.body_time, whole).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(error)) if error.is::<NoRoom>() => Err(StatusCode::SERVICE_UNAVAILABLE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// The data of a body. Most come in one piece, which is the whole. Room is taken for what has come and not for what is
    /// announced: to keep others out costs as many bytes.
    async fn collected(&self, mut body: Limited<Body>, held: &mut Held<'_>) -> Result<Bytes, BoxError> {
        held.make_room(0)?;
        let first = data(&mut body).await?;
        held.make_room(first.len())?;
        if body.is_end_stream() {
            return Ok(first);
        }
        let mut whole = Vec::from(first);
        held.make_room(whole.capacity())?;
        while !body.is_end_stream() {
            let more = data(&mut body).await?;
            if more.is_empty() {
                break;
            }
            let length = whole.len() + more.len();
            if length > whole.capacity() {
                let capacity = length.max((2 * whole.capacity()).min(self.body));
                held.make_room(capacity)?;
                whole.reserve_exact(capacity - whole.len());
            }
            whole.extend_from_slice(&more);
        }
        Ok(whole.into())
    }
}

/// What a request with a body holds.
struct Held<'r> {
    head: usize,
    share: Share<&'r Shares>,
}

impl Held<'_> {
    fn make_room(&mut self, body: usize) -> Result<(), NoRoom> {
        let all = self.head + body;
        (all <= UNCOUNTED || self.share.grow_to(all))
            .then_some(())
            .ok_or(NoRoom::Body)
    }
}

/// What the head of a request takes, about.
fn length_of_head(parts: &Parts) -> usize {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers = parts.headers.iter();
    let lines = headers.map(|(name, value)| name.as_str().len() + value.len() + HEADER);
    target + lines.sum::<usize>()
}

/// The log says why, and not as of a fault: who fills the room must not fill the log with errors.
fn explain(response: &mut Response) {
    if let Some(failure) = response.extensions_mut().get_mut::<Failure>() {
        failure.internal = Some(NoRoom::Body.to_string());
    }
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

#[cfg(test)]
mod tests;
