//! `_core.Visit`: a request on its way through the guard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_guard::{Answer, BodyFault, Claims};
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::bridge;
use crate::claims::VerifiedClaims;
use crate::http::{Pair, answer_to_python, header_map, headers_to_python};
use crate::subject::SubjectToken;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// What `Visit.pass_on` gives.
type PassedOn<'py> = (
    VerifiedClaims,
    Bound<'py, PyAny>,
    Bound<'py, PyString>,
    bool,
    Option<SubjectToken>,
);

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

    fn place(&self) -> MutexGuard<'_, Option<doorward_guard::Visit>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, look: impl FnOnce(&doorward_guard::Visit) -> T) -> PyResult<T> {
        self.place().as_ref().map(look).ok_or_else(busy)
    }

    /// Judges the body when a shared replay store may have to be asked.
    fn authorize_waiting(
        &self,
        py: Python<'_>,
        mut visit: doorward_guard::Visit,
        body: PyBackedBytes,
    ) -> PyResult<Py<PyAny>> {
        let place = Arc::clone(&self.inner);
        let judged = async move {
            let judgement = visit.authorize(&body).await;
            (visit, judgement)
        };
        bridge::run(py, judged, move |py, (visit, judgement)| {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit);
            judgement_to_python(py, judgement)
        })
    }
}

fn judgement_to_python(py: Python<'_>, judgement: Result<(), Answer>) -> PyResult<Py<PyAny>> {
    match judgement {
        Ok(()) => Ok(py.None()),
        Err(answer) => answer_to_python(py, &answer),
    }
}

fn busy() -> PyErr {
    PyRuntimeError::new_err("the request is being judged; await that first")
}

#[pymethods]
impl Visit {
    /// The largest body, in bytes.
    #[getter]
    fn max_body(&self) -> usize {
        self.max_body
    }

    /// Judges the whole body: `None`, the answer of a refusal, or a future of either.
    fn authorize(&self, py: Python<'_>, body: PyBackedBytes) -> PyResult<Py<PyAny>> {
        let mut place = self.place();
        let visit = place.as_mut().ok_or_else(busy)?;
        let judged = if visit.has_proof_to_spend() {
            None
        } else {
            visit.authorize(&body).now_or_never()
        };
        if let Some(judgement) = judged {
            return judgement_to_python(py, judgement);
        }
        let visit = place.take().ok_or_else(busy)?;
        drop(place);
        self.authorize_waiting(py, visit, body)
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

    /// What goes on to the application: the claims; the headers, which are those of the request, without token and proof;
    /// the token, which is among the headers again, as a bearer token, and not empty, when somebody wants to `keep` it;
    /// whether lists in the answer must be looked into; and the token as what can only be exchanged. Once only.
    fn pass_on<'py>(
        &self,
        py: Python<'py>,
        headers: Bound<'py, PyAny>,
        keep: bool,
    ) -> PyResult<PassedOn<'py>> {
        let unread = self.headers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut left = unread.ok_or_else(|| PyRuntimeError::new_err("the headers were passed on before"))?;
        let credentials = left.get(AUTHORIZATION).cloned();
        let before = left.len();
        let filters = self.with(|visit| {
            visit.strip(&mut left);
            visit.filters_lists()
        })?;
        let claims = VerifiedClaims::new(self.claims.clone());
        let kept = credentials.as_ref().filter(|_| keep);
        let text = kept.and_then(|value| value.to_str().ok());
        let (scheme, token) = text.and_then(|value| value.split_once(' ')).unwrap_or_default();
        let given = PyString::new(py, token);
        let subject = |value: &HeaderValue| SubjectToken::new(value.clone(), self.claims.clone());
        let subject = credentials.as_ref().map(subject);
        // Nothing but the token was taken out, and it is to be there again as it was.
        let is_same = scheme == "Bearer" && !token.is_empty() && left.len() + 1 == before;
        if is_same && names_authorization(&headers)? {
            return Ok((claims, headers, given, filters, subject));
        }
        let list = PyList::empty(py);
        for header in headers.try_iter()? {
            let header = header?;
            let Pair(name, _): Pair<Bound<'py, PyBytes>> = header.extract()?;
            let is_left = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| left.contains_key(name));
            if is_left {
                list.append(header)?;
            }
        }
        if !token.is_empty() {
            let value = format!("Bearer {token}");
            list.append((
                PyBytes::new(py, b"authorization"),
                PyBytes::new(py, value.as_bytes()),
            ))?;
        }
        Ok((claims, list.into_any(), given, filters, subject))
    }

    /// The headers of the answer, completed, which are the same list when nothing was missing; and what kind of answer it
    /// is: `json`, `events`, or `None` for any other.
    fn leave<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Bound<'py, PyList>,
    ) -> PyResult<(Bound<'py, PyList>, Option<Bound<'py, PyString>>)> {
        let status = StatusCode::from_u16(status).map_err(|_| PyValueError::new_err("no HTTP status"))?;
        let (session, kind) = seen_by_the_guard(&headers)?;
        let kind = kind.map(|kind| kind.to_python(py).clone());
        if self.with(doorward_guard::Visit::adds_headers)? {
            let mut map = header_map(&headers.extract()?).ok_or_else(not_headers)?;
            self.with(|visit| visit.leave(status, &mut map))?;
            return Ok((headers_to_python(py, &map)?, kind));
        }
        let mut map = HeaderMap::new();
        if let Some(session) = session {
            map.insert(SESSION_ID, session);
        }
        self.with(|visit| visit.leave(status, &mut map))?;
        Ok((headers, kind))
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

    /// Whether the token has ended since.
    fn has_expired(&self) -> PyResult<bool> {
        self.with(doorward_guard::Visit::has_expired)
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

/// An answer that the guard may have to look into.
#[derive(Clone, Copy)]
enum Kind {
    Json,
    Events,
}

impl Kind {
    /// By the media type without its parameters (RFC 9110 §8.3.1).
    fn of(media_type: &[u8]) -> Option<Self> {
        let essence = media_type.split(|byte| *byte == b';').next()?.trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
            Some(Self::Events)
        } else {
            None
        }
    }

    fn to_python(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Json => intern!(py, "json"),
            Self::Events => intern!(py, "events"),
        }
    }
}

/// Whether the token is under the name that ASGI gives it, in lower case. Servers see to that, applications rely on it.
fn names_authorization(headers: &Bound<'_, PyAny>) -> PyResult<bool> {
    for header in headers.try_iter()? {
        let Pair(name, _): Pair<Bound<'_, PyBytes>> = header?.extract()?;
        if name.as_bytes() == b"authorization" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The session that an answer names, and what kind of answer it is. Nothing is made of the other headers, but all of them
/// must be such.
fn seen_by_the_guard(headers: &Bound<'_, PyList>) -> PyResult<(Option<HeaderValue>, Option<Kind>)> {
    let (mut session, mut media_type) = (None, None);
    for header in headers {
        let Pair(name, value): Pair<Bound<'_, PyBytes>> = header.extract()?;
        let name = name.as_bytes();
        if !is_name(name) || !is_value(value.as_bytes()) {
            return Err(not_headers());
        }
        if media_type.is_none() && name.eq_ignore_ascii_case(b"content-type") {
            media_type = Some(Kind::of(value.as_bytes()));
        } else if session.is_none() && name.eq_ignore_ascii_case(b"mcp-session-id") {
            session = Some(HeaderValue::from_bytes(value.as_bytes()).map_err(|_| not_headers())?);
        }
    }
    Ok((session, media_type.flatten()))
}

/// RFC 9110 §5.1: a token (§5.6.2).
fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(is_token)
}

/// RFC 9110 §5.5: no control characters but the tab. Line breaks would end the header, and begin another one.
fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
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
