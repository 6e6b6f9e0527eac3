//! Answers that never end: server-sent events.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use reqwest::Response;

use crate::error::FetchError;

/// What to ask for, and how long to wait. `Debug` shows neither headers nor form: both carry secrets.
#[derive(Clone, Copy)]
pub struct StreamRequest<'a> {
    /// Where; the same rules as for documents hold.
    pub url: &'a str,
    /// Headers besides `Accept`, `Accept-Encoding`, `Host` and `User-Agent`.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// A form to ask with, encoded as `application/x-www-form-urlencoded`: the request is then a `POST`. Usually none, and
    /// a `GET`.
    pub form: Option<&'a str>,
    /// How long until the head of the answer is there, from when the request has a slot.
    pub head_timeout: Duration,
    /// The longest time without a byte of the body.
    pub idle_timeout: Duration,
}

impl fmt::Debug for StreamRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A body that is read as it comes, as long as it comes: nothing bounds it in all. Dropping it ends the connection.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    idle_timeout: Duration,
}

impl EventStream {
    pub(crate) fn new(response: Response, idle_timeout: Duration) -> Self {
        Self {
            response,
            idle_timeout,
        }
    }

    /// The next bytes, in pieces of any size; `None` when the server ended its answer.
    ///
    /// # Errors
    /// [`FetchError::Timeout`] when nothing came for the idle time, [`FetchError::Connect`] when the connection broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        match tokio::time::timeout(self.idle_timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| FetchError::from_client(&error)),
            Err(_) => Err(FetchError::Timeout),
        }
    }
}
