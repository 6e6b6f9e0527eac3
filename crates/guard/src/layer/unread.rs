//! What is still to come of a request that was answered on its head.
//!
//! Many clients send head and body apart. hyper closes the connection when the answer is out before the body is in, and
//! says nothing of it: the client's next request on that connection, often the one for the metadata that the refusal
//! names, is lost. So a body of a usual size is let in and thrown away, and where that cannot be, the answer says that
//! the connection ends (RFC 9112 §9.6).

use std::pin::pin;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Version};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::BoxError;
use crate::visit::Answer;
use crate::wait;

/// More is not worth its way for an answer that is there already.
const MAX_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);

/// The answer, when the body has come in or the answer says that it need not.
pub(super) async fn discard<B>(answer: Answer, version: Version, body: B) -> Answer
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match wait::at_most(PATIENCE, is_read_away(body)).await {
        Some(true) => answer,
        Some(false) | None => last(answer, version),
    }
}

/// The answer that ends its connection. HTTP/2 ends a stream instead, and has no such header (RFC 9113 §8.2.2).
pub(super) fn last(mut answer: Answer, version: Version) -> Answer {
    if version < Version::HTTP_2 {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

async fn is_read_away<B>(body: B) -> bool
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(Limited::new(body, MAX_BYTES));
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}
