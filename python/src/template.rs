//! Claims of a token as a copy of another's.
//!
//! The guard knows in what a token's claims differ from those of another token of their form
//! ([`AlikeClaims`](doorward_guard::AlikeClaims)). What Python makes of that other token's claims is kept beside them. A token's
//! own are a copy in which only the members that differ are replaced: no name and no repeated value is read or made again.

use doorward_guard::AlikeClaims;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};

use crate::json;

/// A [`Template`], once somebody wants it.
struct Companion(PyOnceLock<Template>);

/// The claims of a token, never handed out.
pub(crate) struct Template {
    claims: Py<PyDict>,
    names: Vec<Py<PyString>>,
    /// The values that can be changed and must not be shared, by their place in the order.
    containers: Vec<(usize, Py<PyAny>)>,
    subject: Known,
    client_id: Known,
    end: Known,
    scope: Known,
    /// The words of it.
    scopes: Option<Py<PyList>>,
}

/// A member that is looked for by itself.
struct Known {
    place: Option<usize>,
    /// `None` for what is no string.
    text: Option<Py<PyString>>,
}

/// The claims of one token.
pub(crate) struct Filled<'py> {
    pub(crate) claims: Bound<'py, PyDict>,
    /// `sub`, if it is a string; and so on.
    pub(crate) subject: Option<Bound<'py, PyString>>,
    pub(crate) client_id: Option<Bound<'py, PyString>>,
    /// `exp`, if it is new and so a whole number.
    pub(crate) end: Option<Bound<'py, PyAny>>,
    /// The words of `scope`, if it is a string.
    pub(crate) scopes: Option<Bound<'py, PyList>>,
}

impl Template {
    /// The template for these claims. `None` when something else was made of them.
    pub(crate) fn of<'c>(py: Python<'_>, alike: &AlikeClaims<'c>) -> PyResult<Option<&'c Self>> {
        let Some(Companion(kept)) = alike.companion(|| Companion(PyOnceLock::new())) else {
            return Ok(None);
        };
        kept.get_or_try_init(py, || Self::new(py, alike.known_json()))
            .map(Some)
    }

    fn new(py: Python<'_>, document: &str) -> PyResult<Self> {
        let claims = json::object(py, document)?;
        let (mut names, mut containers) = (Vec::new(), Vec::new());
        for (place, (name, value)) in claims.iter().enumerate() {
            names.push(name.cast_into::<PyString>()?.unbind());
            if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() {
                containers.push((place, value.unbind()));
            }
        }
        let scope = Known::new(&claims, "scope")?;
        let words = scope.text.as_ref().map(|scope| json::words(scope.bind(py)));
        Ok(Self {
            subject: Known::new(&claims, "sub")?,
            client_id: Known::new(&claims, "client_id")?,
            end: Known::new(&claims, "exp")?,
            scope,
            scopes: words.transpose()?.map(Bound::unbind),
            claims: claims.unbind(),
            names,
            containers,
        })
    }

    /// The claims of a token that is like this one.
    pub(crate) fn fill<'py>(&self, py: Python<'py>, alike: &AlikeClaims<'_>) -> PyResult<Filled<'py>> {
        let claims = self.claims.bind(py).copy()?;
        for (place, container) in &self.containers {
            let copied = json::copy_of_container(container.bind(py))?;
            claims.set_item(self.name(*place)?, copied)?;
        }
        let (mut subject, mut client_id) = (self.subject.text(py), self.client_id.text(py));
        let mut end = None;
        let mut scopes = self.scopes.as_ref().map(|scopes| {
            let scopes = scopes.bind(py);
            scopes.get_slice(0, scopes.len())
        });
        for (place, text) in alike.changes() {
            let value = plain(py, text)?;
            claims.set_item(self.name(place)?, &value)?;
            if self.subject.is_at(place) {
                subject = value.cast_into().ok();
            } else if self.client_id.is_at(place) {
                client_id = value.cast_into().ok();
            } else if self.end.is_at(place) {
                end = Some(value);
            } else if self.scope.is_at(place) {
                let words = value.cast_into().ok().map(|scope| json::words(&scope));
                scopes = words.transpose()?;
            }
        }
        Ok(Filled {
            claims,
            subject,
            client_id,
            end,
            scopes,
        })
    }

    fn name(&self, place: usize) -> PyResult<&Py<PyString>> {
        let name = self.names.get(place);
        name.ok_or_else(|| PyValueError::new_err("the claims have another form"))
    }
}

impl<'py> Filled<'py> {
    /// Those of a token that is like no other.
    pub(crate) fn of(claims: Bound<'py, PyDict>) -> PyResult<Self> {
        let py = claims.py();
        let scope = json::text(&claims, intern!(py, "scope"))?;
        Ok(Self {
            subject: json::text(&claims, intern!(py, "sub"))?,
            client_id: json::text(&claims, intern!(py, "client_id"))?,
            end: None,
            scopes: scope.map(|scope| json::words(&scope)).transpose()?,
            claims,
        })
    }
}

impl Known {
    fn new(claims: &Bound<'_, PyDict>, wanted: &str) -> PyResult<Self> {
        let mut known = Self {
            place: None,
            text: None,
        };
        for (place, (name, value)) in claims.iter().enumerate() {
            if name.cast::<PyString>()?.to_str()? == wanted {
                known.place = Some(place);
                known.text = value.cast_into().ok().map(Bound::unbind);
            }
        }
        Ok(known)
    }

    fn is_at(&self, place: usize) -> bool {
        self.place == Some(place)
    }

    fn text<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.text.as_ref().map(|text| text.bind(py).clone())
    }
}

/// A value of which the guard says that it is a string without escapes or a whole number.
fn plain<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => Ok(PyString::new(py, text).into_any()),
        None => text.parse::<u64>()?.into_bound_py_any(py),
    }
}
