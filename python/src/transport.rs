//! The way to the authorization server over a Python callable, so that programs can bring their own HTTP client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_guard::{Document, Fetch, FetchFailure, FormRequest, FormResponse};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tracing::Level;

use crate::callback::{self, EventLoops};
use crate::failure::{Failures, Texts};

/// Calls `await transport(method, url, headers, body)`, which returns `(status, headers, body)`.
pub(crate) struct PyTransport {
    callable: Arc<Py<PyAny>>,
    event_loops: EventLoops,
    failures: Failures,
}

/// What the callable returned.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl PyTransport {
    pub(crate) fn new(callable: Py<PyAny>, event_loops: EventLoops) -> Self {
        Self {
            callable: Arc::new(callable),
            event_loops,
            failures: Failures::new(
                "doorward.guard.transport",
                Level::WARN,
                "the transport failed",
                "the transport works again",
            ),
        }
    }

    async fn send(
        &self,
        method: &'static str,
        url: &str,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
        max_body: usize,
    ) -> Result<Answer, FetchFailure> {
        let callable = Arc::clone(&self.callable);
        let target = url.to_owned();
        let begin = move |py: Python<'_>| {
            let given = PyDict::new(py);
            for (name, value) in &headers {
                given.set_item(name.as_str(), value.to_str().unwrap_or_default())?;
            }
            let body = body.map(|body| PyBytes::new(py, &body));
            callable.call1(py, (method, target, given, body))
        };
        let called = callback::call(&self.event_loops, callback::TIMEOUT, begin, read).await;
        if called.is_ok() {
            self.failures.worked();
        }
        let answer = called.map_err(|error| {
            // Secrets may be in its texts, and parts of them.
            self.failures.failed(&error, error.raised(), Texts::None);
            let text = format!("the transport gave no answer of {url}: {error}");
            if error.is_local() {
                FetchFailure::busy(text)
            } else {
                FetchFailure::new(text)
            }
        })?;
        if answer.body.len() > max_body {
            return Err(FetchFailure::refused(format!("the answer of {url} is too large")));
        }
        Ok(answer)
    }
}

impl Fetch for PyTransport {
    fn get_json<'a>(
        &'a self,
        url: &'a str,
        max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        async move {
            let answer = self.send("GET", url, accepting_json(), None, max_body).await?;
            if answer.status != 200 {
                let text = format!("{url} answered {}", answer.status);
                return Err(if answer.status >= 500 || answer.status == 429 {
                    FetchFailure::new(text)
                } else {
                    FetchFailure::refused(text)
                });
            }
            let fresh_for = max_age(&answer.headers);
            Ok(Document::new(answer.body).fresh_for(fresh_for))
        }
        .boxed()
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        async move {
            let mut headers = accepting_json();
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
            headers.extend(request.headers);
            let body = Some(request.body.as_bytes().to_vec());
            let answer = self
                .send("POST", request.url, headers, body, request.max_body)
                .await?;
            Ok(FormResponse {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            })
        }
        .boxed()
    }
}

fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

/// RFC 9111 §5.2.2: `None` when nothing, or nothing usable, is said, or when the document must not be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut age = None;
    for directive in directives.split(',').map(str::trim) {
        match directive.split_once('=') {
            Some(("max-age", seconds)) => age = seconds.trim_matches('"').parse().ok(),
            None if directive == "no-store" || directive == "no-cache" => return None,
            _ => {}
        }
    }
    age.filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn read(result: &Bound<'_, PyAny>) -> PyResult<Answer> {
    let (status, headers, body): (u16, Bound<'_, PyAny>, Vec<u8>) = result.extract()?;
    let pairs = match headers.cast::<PyDict>() {
        Ok(dict) => dict.items().into_any(),
        // `Mapping` and `httpx.Headers` have `items`; a sequence of pairs is taken as it is.
        Err(_) if headers.hasattr("items")? => headers.call_method0("items")?,
        Err(_) => headers,
    };
    let mut read = HeaderMap::new();
    for pair in pairs.try_iter()? {
        let (name, value): (String, String) = pair?.extract()?;
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            // More than the map can hold is nothing that an authorization server says.
            read.try_append(name, value)
                .map_err(|_| PyValueError::new_err("too many headers"))?;
        }
    }
    Ok(Answer {
        status,
        headers: read,
        body: body.into(),
    })
}
