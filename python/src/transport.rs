//! The way to the authorization server over a Python callable, so that programs can bring their own HTTP client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use doorward_guard::{Document, Fetch, FetchFailure, FormRequest, FormResponse};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tokio::sync::oneshot;

use crate::bridge;

/// How long the callable may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `await transport(method, url, headers, body)`, which returns `(status, headers, body)`.
pub(crate) struct PyTransport {
    callable: Arc<Py<PyAny>>,
    event_loop: EventLoop,
}

/// The event loop that the callable runs in: the one that the guard was used from last.
#[derive(Clone, Default)]
pub(crate) struct EventLoop(Arc<Mutex<Option<Py<PyAny>>>>);

impl EventLoop {
    /// Takes note of the running loop, if there is one.
    pub(crate) fn remember(&self, py: Python<'_>) {
        if let Ok(running) = bridge::running_loop(py) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.unbind());
        }
    }

    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|event_loop| event_loop.clone_ref(py))
    }
}

/// What the callable returned.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

type Outcome = Result<Answer, FetchFailure>;

impl PyTransport {
    pub(crate) fn new(callable: Py<PyAny>, event_loop: EventLoop) -> Self {
        Self {
            callable: Arc::new(callable),
            event_loop,
        }
    }

    async fn send(
        &self,
        method: &'static str,
        url: &str,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
        max_body: usize,
    ) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        let call = Call {
            callable: Arc::clone(&self.callable),
            method,
            url: url.to_owned(),
            headers,
            body,
            task: Arc::default(),
            sender: Mutex::new(Some(sender)),
        };
        let running = Running(Arc::clone(&call.task));
        let begun = Python::try_attach(|py| {
            let event_loop = self.event_loop.get(py)?;
            event_loop
                .call_method1(py, "call_soon_threadsafe", (call,))
                .ok()
        });
        if begun.flatten().is_none() {
            return Err(FetchFailure::new("no event loop runs that the transport could be called in"));
        }
        let outcome = tokio::time::timeout(TIMEOUT, receiver).await;
        drop(running);
        let answer = match outcome {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) => return Err(FetchFailure::new("the event loop of the transport has ended")),
            Err(_) => return Err(FetchFailure::new(format!("the transport took too long for {url}"))),
        };
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
            Ok(Document {
                fresh_for: max_age(&answer.headers),
                body: answer.body,
            })
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

type Task = Arc<Mutex<Option<Py<PyAny>>>>;

/// A call under way. Dropped when nobody waits for it any more, it cancels the task.
struct Running(Task);

impl Drop for Running {
    fn drop(&mut self) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            Python::try_attach(|py| {
                let cancel = || {
                    let event_loop = task.call_method0(py, "get_loop")?;
                    event_loop.call_method1(py, "call_soon_threadsafe", (task.getattr(py, "cancel")?,))
                };
                // A loop that was closed has ended its tasks.
                drop(cancel());
            });
        }
    }
}

/// Begins a call, in the thread of the loop.
#[pyclass(frozen)]
struct Call {
    callable: Arc<Py<PyAny>>,
    method: &'static str,
    url: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    task: Task,
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
}

#[pymethods]
impl Call {
    fn __call__(&self, py: Python<'_>) {
        let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if sender.is_closed() {
            return;
        }
        match self.begin(py) {
            Ok(task) => {
                let finished = Finished {
                    task: Arc::clone(&self.task),
                    sender: Mutex::new(Some(sender)),
                };
                *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone().unbind());
                drop(task.call_method1("add_done_callback", (finished,)));
            }
            Err(error) => drop(sender.send(Err(failure(py, &error)))),
        }
    }
}

impl Call {
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let headers = PyDict::new(py);
        for (name, value) in &self.headers {
            headers.set_item(name.as_str(), value.to_str().unwrap_or_default())?;
        }
        let body = self.body.as_ref().map(|body| PyBytes::new(py, body));
        let awaitable = self
            .callable
            .bind(py)
            .call1((self.method, &self.url, headers, body))?;
        py.import("asyncio")?.call_method1("ensure_future", (awaitable,))
    }
}

/// Hands the outcome of a call back to Rust.
#[pyclass(frozen)]
struct Finished {
    task: Task,
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
}

#[pymethods]
impl Finished {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let outcome = task
            .call_method0("result")
            .and_then(|result| read(&result))
            .map_err(|error| failure(py, &error));
        drop(sender.send(outcome));
    }
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
            read.append(name, value);
        }
    }
    Ok(Answer {
        status,
        headers: read,
        body: body.into(),
    })
}

/// Only the kind of error: its text may hold what was sent.
fn failure(py: Python<'_>, error: &PyErr) -> FetchFailure {
    let kind = error.get_type(py);
    let name = kind.name().map_or_else(|_| "an error".to_owned(), |name| name.to_string());
    FetchFailure::new(format!("the transport failed: {name}"))
}
