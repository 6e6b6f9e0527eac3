//! How long an answer stays fresh (RFC 9111, within the caller's bounds).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::time::UnixSeconds;
use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

use crate::error::FetchError;
use crate::policy::Limits;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The body: declared as JSON, not parsed.
    pub body: Bytes,
    /// When the server last said that this is the document.
    pub fetched_at: UnixSeconds,
    /// Until when it is answered from the cache. Not later than `fetched_at` for `no-store`.
    pub expires_at: UnixSeconds,
    /// The `ETag`, used to ask for changes only.
    pub etag: Option<String>,
}

/// What the cache holds for a URL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) document: Option<Arc<Fetched>>,
    pub(crate) failure: Option<Failure>,
}

/// What went wrong, and how long that is the answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: FetchError,
    pub(crate) failed_at: UnixSeconds,
    pub(crate) expires_at: UnixSeconds,
}

/// How far ahead of a caller's time an answer may be from: the caller looked at the clock before it came.
const AHEAD: Duration = Duration::from_secs(10);

impl Entry {
    /// The answer, as long as it is fresh, or a document until the pause is over. One from the future is not fresh: the clock
    /// was set back since.
    pub(crate) fn fresh(self, now: UnixSeconds, pause: Duration) -> Option<Result<Arc<Fetched>, FetchError>> {
        let is_fresh = |from: UnixSeconds, until: UnixSeconds| from <= now + AHEAD && now < until;
        let document = self.document.filter(|document| {
            let until = document.expires_at.max(document.fetched_at + pause);
            is_fresh(document.fetched_at, until)
        });
        if let Some(document) = document {
            return Some(Ok(document));
        }
        self.failure
            .filter(|failure| is_fresh(failure.failed_at, failure.expires_at))
            .map(|failure| Err(failure.error))
    }
}

/// How long an answer with these headers is fresh; `None` for `no-store`.
pub(crate) fn lifetime(headers: &HeaderMap, limits: &Limits) -> Option<Duration> {
    let mut max_age = None;
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for directive in directives.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => return None,
            "no-cache" => max_age = Some(0),
            // RFC 9111 §4.2.1: an unreadable value means stale; the first of several counts.
            "max-age" => {
                max_age =
                    max_age.or_else(|| Some(value.trim().trim_matches('"').parse::<u64>().unwrap_or(0)));
            }
            _ => {}
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let wanted = max_age.map_or(limits.default_ttl, |seconds| {
        Duration::from_secs(seconds.saturating_sub(age))
    });
    // Not `clamp`, which panics when the caller's bounds are the wrong way round.
    Some(wanted.max(limits.min_ttl).min(limits.max_ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        lifetime(&headers, &Limits::default()).map(|ttl| ttl.as_secs())
    }

    #[test]
    fn max_age_is_respected_within_the_bounds() {
        assert_eq!(seconds(&[("cache-control", "public, max-age=3600")]), Some(3600));
        assert_eq!(seconds(&[("cache-control", "Max-Age=\"3600\"")]), Some(3600));
        assert_eq!(seconds(&[("cache-control", "max-age=0")]), Some(60));
        assert_eq!(seconds(&[("cache-control", "no-cache, max-age=3600")]), Some(60));
        assert_eq!(seconds(&[("cache-control", "max-age=31536000")]), Some(86400));
        assert_eq!(
            seconds(&[("cache-control", "max-age=99999999999999999999")]),
            Some(60)
        );
        assert_eq!(seconds(&[("cache-control", "max-age=-5")]), Some(60));
        assert_eq!(
            seconds(&[("cache-control", "public"), ("cache-control", "max-age=120")]),
            Some(120)
        );
    }

    #[test]
    fn the_age_in_caches_on_the_way_counts() {
        assert_eq!(
            seconds(&[("cache-control", "max-age=3600"), ("age", "600")]),
            Some(3000)
        );
        assert_eq!(
            seconds(&[("cache-control", "max-age=3600"), ("age", "9000")]),
            Some(60)
        );
    }

    #[test]
    fn no_store_is_not_stored_and_silence_means_the_default() {
        assert_eq!(seconds(&[("cache-control", "max-age=600, no-store")]), None);
        assert_eq!(seconds(&[]), Some(300));
    }
}
