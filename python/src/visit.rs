//! `_core.Visit`: a request on its way through the guard.

use std::sync::{Arc, Mutex, PoisonError};

use doorward_guard::{BodyFault, Claims};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, StatusCode};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::bridge;
use crate::claims::VerifiedClaims;
use crate::http::{AsgiHeaders, answer_to_python, header_map, headers_to_python};

/// A request whose head is good.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct Visit {
    claims: Claims,
    max_body: usize,
    /// Of the request, until they are stripped.
    headers: Mutex<Option<HeaderMap>>,
    /// Away while it is being judged.
    inner: Arc<Mutex<Option<doorward_guard::Visit>>>,
}

impl Visit {
    pub(crate) fn new(visit: doorward_guard::Visit, headers: HeaderMap) -> Self {
        Self {
            headers: Mutex::new(Some(headers)),
            claims: visit.claims().clone(),
            max_body: visit.max_body(),
            inner: Arc::new(Mutex::new(Some(visit))),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&doorward_guard::Visit) -> T) -> PyResult<T> {
        let visit = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        visit.as_ref().map(look).ok_or_else(busy)
    }
}

fn busy() -> PyErr {
    PyRuntimeError::new_err("the request is being judged; await that first")
}

#[pymethods]
impl Visit {
    /// Whose token it is.
    #[getter]
    fn claims(&self) -> VerifiedClaims {
        VerifiedClaims::new(self.claims.clone())
    }

    /// The largest body, in bytes.
    #[getter]
    fn max_body(&self) -> usize {
        self.max_body
    }

    /// Judges the whole body: `None`, the answer of a refusal, or a future of either.
    fn authorize(&self, py: Python<'_>, body: Vec<u8>) -> PyResult<Py<PyAny>> {
        let place = Arc::clone(&self.inner);
        let taken = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut visit = taken.ok_or_else(busy)?;
        let judged = async move {
            let judgement = visit.authorize(&body).await;
            (visit, judgement)
        };
        bridge::run(py, judged, move |py, (visit, judgement)| {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit);
            match judgement {
                Ok(()) => Ok(py.None()),
                Err(answer) => answer_to_python(py, &answer),
            }
        })
    }

    /// The answer to a request whose body could not be read: `too_large`, `too_slow` or `unreadable`.
    fn refuse_body(&self, py: Python<'_>, fault: &str) -> PyResult<Py<PyAny>> {
        let fault = match fault {
            "too_large" => BodyFault::TooLarge,
            "too_slow" => BodyFault::TooSlow,
            "unreadable" => BodyFault::Unreadable,
            _ => return Err(PyValueError::new_err("no fault of a body")),
        };
        let answer = self.with(|visit| visit.refuse_body(fault))?;
        answer_to_python(py, &answer)
    }

    /// The headers, which are those of the request, without token and proof; and the token. It is among the headers again, as a
    /// bearer token, and not empty, when somebody wants to `keep` it. Once only.
    fn strip<'py>(
        &self,
        py: Python<'py>,
        headers: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
        keep: bool,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyString>)> {
        let unread = self.headers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut left = unread.ok_or_else(|| PyRuntimeError::new_err("the headers were stripped before"))?;
        let credentials = left.get(AUTHORIZATION).filter(|_| keep).cloned();
        self.with(|visit| visit.strip(&mut left))?;
        let list = PyList::empty(py);
        for header in headers {
            let is_left =
                HeaderName::from_bytes(header.0.as_bytes()).is_ok_and(|name| left.contains_key(name));
            if is_left {
                list.append(header)?;
            }
        }
        let token = credentials
            .as_ref()
            .and_then(|value| value.to_str().ok()?.split_once(' '));
        let token = token.map_or("", |(_, token)| token);
        if !token.is_empty() {
            let value = format!("Bearer {token}");
            list.append((
                PyBytes::new(py, b"authorization"),
                PyBytes::new(py, value.as_bytes()),
            ))?;
        }
        Ok((list, PyString::new(py, token)))
    }

    /// The headers of the answer, completed.
    fn leave<'py>(&self, py: Python<'py>, status: u16, headers: AsgiHeaders) -> PyResult<Bound<'py, PyList>> {
        let mut headers = header_map(&headers).ok_or_else(not_headers)?;
        let status = StatusCode::from_u16(status).map_err(|_| PyValueError::new_err("no HTTP status"))?;
        self.with(|visit| visit.leave(status, &mut headers))?;
        headers_to_python(py, &headers)
    }

    /// Whether lists in the answer must be looked into.
    #[getter]
    fn filters_lists(&self) -> PyResult<bool> {
        self.with(doorward_guard::Visit::filters_lists)
    }

    /// A JSON answer without what the token may not call; `None` when it stays as it is.
    fn filter_list<'py>(&self, py: Python<'py>, body: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let filtered = self.with(|visit| visit.filter_list(body))?;
        Ok(filtered.map(|body| PyBytes::new(py, &body)))
    }

    /// The same for an event stream, part by part.
    fn event_filter(&self) -> PyResult<EventFilter> {
        let filter = self.with(doorward_guard::Visit::event_filter)?;
        Ok(EventFilter(Mutex::new(filter)))
    }

    /// A future that is done when an event stream must end, `True` when that is now; `None` when streams may outlive their
    /// token.
    fn ended(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let ended = self.with(doorward_guard::Visit::ended)?;
        ended
            .map(|ended| bridge::run(py, ended, |py, ()| true.into_py_any(py)))
            .transpose()
    }
}

fn not_headers() -> PyErr {
    PyValueError::new_err("the application answered with what cannot be HTTP headers")
}

/// Leaves out of the lists in an event stream what the token may not call.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct EventFilter(Mutex<doorward_guard::EventFilter>);

#[pymethods]
impl EventFilter {
    /// Takes the next part of the stream and gives the events that are complete with it.
    fn push<'py>(&self, py: Python<'py>, part: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut filter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match filter.push(part) {
            Ok(events) => Ok(PyBytes::new(py, &events)),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }
}
