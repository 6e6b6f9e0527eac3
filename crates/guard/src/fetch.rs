//! How the guard gets documents from the authorization server and posts forms to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_fetch::{AllowedHost, FetchError, FetchPolicy, Fetcher, Limits};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::Clock;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};

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
pub struct Document {
    /// The document itself.
    pub body: Bytes,
    /// How long it stays fresh, if the server said so.
    pub fresh_for: Option<Duration>,
}

/// Why there is no answer; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct FetchFailure {
    description: String,
    is_outage: bool,
}

impl FetchFailure {
    /// A failure of the network or the server, described in one sentence for the operator. The same request may
    /// succeed later.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            is_outage: true,
        }
    }

    /// A failure that stays until somebody changes something: an address that may not be reached, a redirect, an
    /// answer that is too large. It says nothing about the server's health.
    pub fn refused(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            is_outage: false,
        }
    }

    /// Whether the network or the server failed.
    pub fn is_outage(&self) -> bool {
        self.is_outage
    }

    fn of(error: &FetchError) -> Self {
        Self {
            description: error.to_string(),
            is_outage: error.is_transient(),
        }
    }
}

/// One form, from waiting for a free slot to the end of the answer. Issuing a token may take a server longer than
/// handing out a document.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The default: `doorward-fetch`, which reaches the issuer's own host wherever that is and any other host only
/// at public addresses.
pub(crate) struct HttpFetch {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
}

impl HttpFetch {
    pub(crate) fn new(issuer: &Issuer, clock: Arc<dyn Clock>) -> Result<Self, FetchError> {
        let host = issuer
            .origin()
            .strip_prefix("https://")
            .and_then(|host| host.parse::<AllowedHost>().ok());
        let policy = FetchPolicy {
            allow_loopback_http: issuer.is_loopback(),
            allowed_hosts: host.into_iter().collect(),
            user_agent: concat!("doorward-guard/", env!("CARGO_PKG_VERSION")).to_owned(),
            cache_entries: 8,
            max_concurrent_per_host: 16,
            ..FetchPolicy::default()
        };
        Ok(Self {
            fetcher: Fetcher::new(policy, clock.clone())?,
            clock,
        })
    }
}

impl Fetch for HttpFetch {
    fn get_json<'a>(
        &'a self,
        url: &'a str,
        max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        Box::pin(async move {
            let limits = Limits {
                max_body,
                ..Limits::default()
            };
            let fetched = self.fetcher.get_json_fresh(url, &limits).await;
            let fetched = fetched.map_err(|error| FetchFailure::of(&error))?;
            let fresh_for = fetched.expires_at.since(self.clock.now());
            Ok(Document {
                body: fetched.body.clone(),
                fresh_for: Some(fresh_for).filter(|time| !time.is_zero()),
            })
        })
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async move {
            let limits = Limits {
                max_body: request.max_body,
                timeout: FORM_TIMEOUT,
                ..Limits::default()
            };
            let form = doorward_fetch::FormRequest {
                url: request.url,
                body: request.body,
                headers: &request.headers,
            };
            let answer = self.fetcher.post_form(form, &limits).await;
            let answer = answer.map_err(|error| FetchFailure::of(&error))?;
            Ok(FormResponse {
                status: answer.status.as_u16(),
                headers: answer.headers,
                body: answer.body,
            })
        })
    }
}
