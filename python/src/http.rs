//! Requests and answers, between ASGI and the `http` crate.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PySequence, PyTuple};

/// Headers as ASGI has them: pairs of bytes. What makes a pair is not said: most servers and applications use tuples, some
/// use lists.
pub(crate) type AsgiHeaders = Vec<Pair<PyBackedBytes>>;

/// Any sequence of two.
pub(crate) struct Pair<T>(pub(crate) T, pub(crate) T);

impl<'a, 'py, T: FromPyObjectOwned<'py>> FromPyObject<'a, 'py> for Pair<T> {
    type Error = PyErr;

    #[inline]
    fn extract(pair: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match pair.extract() {
            Ok((name, value)) => Ok(Self(name, value)),
            Err(error) => Self::of_sequence(pair, error),
        }
    }
}

impl<'py, T: FromPyObjectOwned<'py>> Pair<T> {
    #[cold]
    fn of_sequence(pair: Borrowed<'_, 'py, PyAny>, error: PyErr) -> PyResult<Self> {
        if pair.is_instance_of::<PyTuple>() {
            return Err(error);
        }
        let pair = pair.cast::<PySequence>()?;
        if pair.len()? != 2 {
            return Err(PyValueError::new_err("a header is a name and a value"));
        }
        let member = |place| pair.get_item(place)?.extract().map_err(Into::into);
        Ok(Self(member(0)?, member(1)?))
    }
}

/// A request without its body. Owned: a future that waits keeps it.
pub(crate) struct OwnedHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

impl OwnedHead {
    /// `None` for what no HTTP request can be.
    pub(crate) fn read(method: &str, path: &[u8], query: &[u8], headers: &AsgiHeaders) -> Option<Self> {
        let mut target = path.to_vec();
        if !query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Some(Self {
            method: method.parse().ok()?,
            uri: Uri::from_maybe_shared(Bytes::from(target)).ok()?,
            headers: header_map(headers)?,
        })
    }
}

/// `None` for what cannot be a header.
pub(crate) fn header_map(headers: &AsgiHeaders) -> Option<HeaderMap> {
    // More than the map can hold would make it panic.
    let mut map = HeaderMap::try_with_capacity(headers.len()).ok()?;
    for Pair(name, value) in headers {
        let name = HeaderName::from_bytes(name).ok()?;
        map.try_append(name, HeaderValue::from_bytes(value).ok()?).ok()?;
    }
    Some(map)
}

/// As ASGI wants them.
pub(crate) fn headers_to_python<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        list.append((
            PyBytes::new(py, name.as_str().as_bytes()),
            PyBytes::new(py, value.as_bytes()),
        ))?;
    }
    Ok(list)
}

/// `(status, headers, body)`
pub(crate) fn answer_to_python(py: Python<'_>, answer: &Response<Bytes>) -> PyResult<Py<PyAny>> {
    let status = answer.status().as_u16();
    let headers = headers_to_python(py, answer.headers())?;
    let body = PyBytes::new(py, answer.body());
    Ok((status, headers, body).into_pyobject(py)?.into_any().unbind())
}

/// The answer to what no HTTP request can be.
pub(crate) fn bad_request(py: Python<'_>) -> PyResult<Py<PyAny>> {
    const BODY: &[u8] =
        br#"{"error":"invalid_request","error_description":"Send a well-formed HTTP request."}"#;
    let content_type = (
        PyBytes::new(py, b"content-type"),
        PyBytes::new(py, b"application/json"),
    );
    let headers = PyList::new(py, [content_type])?;
    let answer: Bound<'_, PyTuple> = (400_u16, headers, PyBytes::new(py, BODY)).into_pyobject(py)?;
    Ok(answer.into_any().unbind())
}
