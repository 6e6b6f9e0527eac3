//! How the guard gets documents from the authorization server and posts forms to it.

mod transport;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
pub use doorward_fetch::{
    AllowedHost, EventStream, FetchError, FetchPolicy, Fetched, Fetcher, FormAnswer, InvalidAllowedHost,
    InvalidProxy, Limits, Proxy, Resolver, SystemResolver,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use transport::Timeouts;
pub(crate) use transport::{HttpFetch, Transport, may_be_named};

/// The guard's one way to the authorization server. The default speaks HTTP; another one can be handed to
/// [`GuardBuilder::fetch`](crate::GuardBuilder::fetch).
pub trait Fetch: Send + Sync {
    /// The JSON document at `url`, freshly asked for, of at most `max_body` bytes. Redirects are not followed.
    ///
    /// # Errors
    /// A [`FetchFailure`] for every answer that is not a `200` with JSON.
    fn get_json<'a>(&'a self, url: &'a str, max_body: usize)
    -> BoxFuture<'a, Result<Document, FetchFailure>>;

    /// Posts a form, once, and returns the answer whatever its status. Redirects are not followed: a form carries
    /// secrets. A transport that does not implement it serves everything that needs documents alone.
    ///
    /// # Errors
    /// A [`FetchFailure`] when there is no answer, or none that may be read.
    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        let failure = FetchFailure::refused(format!(
            "this transport does not post forms, so nothing was sent to {}",
            request.url
        ));
        Box::pin(std::future::ready(Err(failure)))
    }

    /// Asks for server-sent events, and completes as soon as the head of the answer is good: `200` and
    /// `text/event-stream`. Redirects are not followed. No timeout on the whole: who reads notices silence. A transport
    /// that does not implement it serves everything but the feed of revocations.
    ///
    /// # Errors
    /// A [`FetchFailure`] when there is no such answer.
    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        let failure = FetchFailure::refused(format!(
            "this transport does not read event streams, so {} was not asked for one",
            request.url
        ));
        Box::pin(std::future::ready(Err(failure)))
    }
}

/// The body of an answer, in pieces of any size. Dropping it ends the connection.
pub type ByteStream = BoxStream<'static, Result<Bytes, FetchFailure>>;

/// What to ask for. `Debug` shows neither headers nor form: both carry secrets.
#[derive(Clone)]
pub struct StreamRequest<'a> {
    /// Where.
    pub url: &'a str,
    /// Headers besides `Accept: text/event-stream`, which the transport sets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A form to ask with, encoded as `application/x-www-form-urlencoded`: the request is then a `POST` with that
    /// `Content-Type`. Without one it is a `GET`.
    pub form: Option<&'a str>,
}

impl fmt::Debug for StreamRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A form to post. `Debug` shows neither body nor headers: both carry secrets.
#[derive(Clone)]
pub struct FormRequest<'a> {
    /// Where to.
    pub url: &'a str,
    /// The form, encoded as `application/x-www-form-urlencoded`.
    pub body: &'a str,
    /// Headers besides `Accept: application/json` and the `Content-Type`, which the transport sets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The largest body of the answer, in bytes.
    pub max_body: usize,
}

impl fmt::Debug for FormRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormRequest")
            .field("url", &self.url)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// The answer to a form. `Debug` shows the status alone.
#[derive(Clone)]
pub struct FormResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for FormResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A document that was fetched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    /// The document itself.
    pub body: Bytes,
    /// How long it stays fresh, if the server said so.
    pub fresh_for: Option<Duration>,
}

impl Document {
    /// A document of which nobody said how long it stays fresh.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            fresh_for: None,
        }
    }

    /// How long it stays fresh, if the server said so.
    #[must_use]
    pub fn fresh_for(mut self, time: Option<Duration>) -> Self {
        self.fresh_for = time;
        self
    }
}

/// Why there is no answer; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct FetchFailure {
    description: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Outage,
    Refused,
    Busy,
}

impl FetchFailure {
    /// A failure of the network or the server, described in one sentence for the operator. The same request may
    /// succeed later.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            kind: Kind::Outage,
        }
    }

    /// A failure that stays until somebody changes something: an address that may not be reached, a redirect, an
    /// answer that is too large. It says nothing about the server's health.
    pub fn refused(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            kind: Kind::Refused,
        }
    }

    /// This side has too many requests under way and did not send this one. The same request may succeed later; it says
    /// nothing about the server's health, and opens no circuit.
    pub fn busy(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            kind: Kind::Busy,
        }
    }

    /// Whether the network or the server failed.
    pub fn is_outage(&self) -> bool {
        self.kind == Kind::Outage
    }

    /// Whether this side did not send the request, because it has too many under way.
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Whether the same request may succeed a little later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Outage | Kind::Busy)
    }

    /// The transport panicked. The panic itself has said why.
    pub(crate) fn of_panic() -> Self {
        Self::new("the transport panicked")
    }

    fn of(error: &FetchError) -> Self {
        let kind = match error {
            FetchError::Busy => Kind::Busy,
            error if error.is_transient() => Kind::Outage,
            _ => Kind::Refused,
        };
        Self {
            description: error.to_string(),
            kind,
        }
    }
}
