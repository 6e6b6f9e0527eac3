//! The default transport: `doorward-fetch`, set up for a few hosts that the operator named.

use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{AllowedHost, FetchError, FetchPolicy, Fetcher, InvalidProxy, Limits, Proxy};
use doorward_oauth::time::Clock;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::try_unfold;
use url::{Host, Url};

use super::{ByteStream, Document, Fetch, FetchFailure, FormRequest, FormResponse, StreamRequest};

/// A stream without a byte for this long is over, should nobody else notice.
const STREAM_SILENCE: Duration = Duration::from_mins(1);

/// How long the authorization server may take to answer. A request that has to wait until others have ended gives up after
/// 2 s, or at once when too many wait already; that is no fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a document, from when it is asked for to the end of the answer. Default: 5 s.
    pub document: Duration,
    /// For a form: issuing a token may take a server longer than handing out a document. Default: 10 s.
    pub form: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            document: Duration::from_secs(5),
            form: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// The same time for both.
    pub fn both(time: Duration) -> Self {
        Self {
            document: time,
            form: time,
        }
    }
}

/// What can be set about the default transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transport {
    pub(crate) root_certificates: Vec<String>,
    pub(crate) proxy: Option<String>,
    pub(crate) timeouts: Timeouts,
    pub(crate) dev_mode: bool,
}

/// Reaches the hosts that it is made for wherever they are, and any other host only at public addresses.
pub(crate) struct HttpFetch {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
}

impl HttpFetch {
    /// A transport to the hosts of these URLs.
    pub(crate) fn reaching(
        urls: &[&str],
        transport: &Transport,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FetchError> {
        let urls: Vec<Url> = urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        let proxy = transport.proxy.as_deref().map(str::parse::<Proxy>).transpose();
        let policy = FetchPolicy {
            allow_loopback_http: urls.iter().any(is_loopback),
            allowed_hosts: urls
                .iter()
                .filter_map(|url| allowed_host(url, transport.dev_mode))
                .collect(),
            root_certificates: transport.root_certificates.clone(),
            proxy: proxy.map_err(|error: InvalidProxy| FetchError::Setup(error.to_string()))?,
            user_agent: concat!("doorward-guard/", env!("CARGO_PKG_VERSION")).to_owned(),
            cache_entries: 8,
            max_concurrent_per_host: 16,
            max_waiting_per_host: 256,
            ..FetchPolicy::default()
        };
        Ok(Self {
            fetcher: Fetcher::new(policy, clock.clone())?,
            clock,
            timeouts: transport.timeouts,
        })
    }
}

/// The operator vouches for the host, at its own port. Over `http` off this machine only for development.
fn allowed_host(url: &Url, dev_mode: bool) -> Option<AllowedHost> {
    let host = url.host_str()?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    match url.scheme() {
        "https" => authority.parse().ok(),
        "http" if dev_mode && !is_loopback(url) => AllowedHost::over_http(&authority).ok(),
        _ => None,
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether the operator may name this URL: `https`, or `http` on loopback and in development.
pub(crate) fn may_be_named(text: &str, dev_mode: bool) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let scheme = match url.scheme() {
            "https" => true,
            "http" => dev_mode || is_loopback(&url),
            _ => false,
        };
        scheme
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
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
                timeout: self.timeouts.document,
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
                timeout: self.timeouts.form,
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

    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        Box::pin(async move {
            let request = doorward_fetch::StreamRequest {
                url: request.url,
                headers: &request.headers,
                form: request.form,
                head_timeout: self.timeouts.form,
                idle_timeout: STREAM_SILENCE,
            };
            let stream = self.fetcher.get_stream(request).await;
            let stream = stream.map_err(|error| FetchFailure::of(&error))?;
            let chunks = try_unfold(stream, |mut stream| async move {
                let chunk = stream.chunk().await.map_err(|error| FetchFailure::of(&error))?;
                Ok(chunk.map(|chunk| (chunk, stream)))
            });
            Ok(chunks.boxed())
        })
    }
}
