use std::error::Error as StdError;

/// Why there is no document. Says what happened; the texts are for logs and operators, and the callers that
/// answer strangers show one sentence for all of them (a difference would map the network for the stranger).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL may not be fetched as it is written; nothing was sent.
    #[error("the URL cannot be fetched: {0}")]
    InvalidUrl(&'static str),
    /// The host is, or resolves to, an address that is not public; nothing was sent.
    #[error("{0} is not a public address")]
    Blocked(String),
    /// The name has no address.
    #[error("the host name could not be resolved")]
    Dns,
    /// No connection.
    #[error("the connection was refused or broke off")]
    Connect,
    /// The certificate or the handshake failed.
    #[error("the TLS handshake failed")]
    Tls,
    /// The exchange took longer than [`Limits::timeout`](crate::Limits::timeout).
    #[error("the server did not answer in time")]
    Timeout,
    /// There was no free slot in time, or too many wait for one already; nothing was sent. It says nothing about the
    /// server.
    #[error("too many requests to this host are under way")]
    Busy,
    /// Whoever this was for may not make this program ask now ([`Fetcher::admitting`](crate::Fetcher::admitting)); nothing
    /// was sent. It says nothing about the server.
    #[error("too much was asked for, for the same caller")]
    NotAdmitted,
    /// The answer was a redirect; it was not followed.
    #[error("the server answered with a redirect")]
    Redirected,
    /// The answer was not `200 OK`.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The content type is neither `application/json` nor `…+json`.
    #[error("the answer is not declared as JSON")]
    NotJson,
    /// The content type is not `text/event-stream`.
    #[error("the answer is not declared as an event stream")]
    NotAnEventStream,
    /// The body is compressed although only `identity` was asked for.
    #[error("the answer is compressed")]
    Encoded,
    /// The body is larger than [`Limits::max_body`](crate::Limits::max_body).
    #[error("the answer is too large")]
    TooLarge,
    /// The fetcher could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

impl FetchError {
    /// Whether the same request may succeed a little later without anybody changing the document.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::Tls | Self::Timeout | Self::Busy | Self::NotAdmitted => true,
            Self::Status(status) => *status >= 500 || *status == 429 || *status == 408,
            _ => false,
        }
    }

    /// What went wrong while a request was sent or its body read.
    pub(crate) fn from_client(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(current) = cause {
            if let Some(known) = current.downcast_ref::<Self>() {
                return known.clone();
            }
            if current.is::<rustls::Error>() {
                return Self::Tls;
            }
            // An `io::Error` hides the error it wraps from `source`.
            cause = match current.downcast_ref::<std::io::Error>() {
                Some(error) => error.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                None => current.source(),
            };
        }
        Self::Connect
    }
}
