//! How the guard gets documents from the authorization server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_fetch::{AllowedHost, FetchError, FetchPolicy, Fetcher, Limits};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::Clock;
use futures_util::future::BoxFuture;

/// Fetches JSON documents for the guard. The default speaks HTTP; another one can be handed to
/// [`GuardBuilder::fetch`](crate::GuardBuilder::fetch).
pub trait Fetch: Send + Sync {
    /// The JSON document at `url`, freshly asked for, of at most `max_body` bytes. Redirects are not followed.
    ///
    /// # Errors
    /// A [`FetchFailure`] for every answer that is not a `200` with JSON.
    fn get_json<'a>(&'a self, url: &'a str, max_body: usize)
    -> BoxFuture<'a, Result<Document, FetchFailure>>;
}

/// A document that was fetched.
#[derive(Debug, Clone)]
pub struct Document {
    /// The document itself.
    pub body: Bytes,
    /// How long it stays fresh, if the server said so.
    pub fresh_for: Option<Duration>,
}

/// Why there is no document; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchFailure(String);

impl FetchFailure {
    /// A failure, described in one sentence for the operator.
    pub fn new(description: impl Into<String>) -> Self {
        Self(description.into())
    }
}

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
            let fetched = fetched.map_err(|error| FetchFailure::new(error.to_string()))?;
            let fresh_for = fetched.expires_at.since(self.clock.now());
            Ok(Document {
                body: fetched.body.clone(),
                fresh_for: Some(fresh_for).filter(|time| !time.is_zero()),
            })
        })
    }
}
