//! `_core.AccessTokens`: access tokens as MCP frameworks want them, one for each request.
//!
//! To have pydantic make and validate one costs a good part of what the signature costs. Everything in them was checked
//! already, so a plain model is put together as it stands after its validation.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_guard::TokenClaims;
use pyo3::IntoPyObjectExt as _;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyString, PyType};

use crate::claims::VerifiedClaims;
use crate::json;

/// The fields of one token's access token but the token itself, for as long as the token is remembered; never handed out.
pub(crate) struct Fields {
    maker: usize,
    values: Py<PyDict>,
}

/// Makes the access tokens of one framework for one resource.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct AccessTokens {
    /// Tells makers apart.
    id: usize,
    kind: Py<PyType>,
    has_resource: bool,
    has_subject: bool,
    has_claims: bool,
    resource: Option<Py<PyString>>,
    /// Every field, without a value where tokens have their own: to fill in a copy is cheaper than to let it grow.
    blank: Py<PyDict>,
    model: Option<PlainModel>,
}

#[pymethods]
impl AccessTokens {
    /// `kind` is the class, of which this version has the fields called `names`. `setters` put the four slots of a pydantic
    /// model in place: its values, the names of the fields that were set, what is extra and what is private; `None` for
    /// a class that wants to be called.
    #[new]
    fn new(
        kind: Bound<'_, PyType>,
        names: Vec<String>,
        resource: Option<Py<PyString>>,
        setters: Option<[Py<PyAny>; 4]>,
    ) -> PyResult<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let py = kind.py();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let model = setters.map(|setters| {
            let given = names
                .iter()
                .filter(|name| *name != "resource" || resource.is_some());
            PlainModel::new(&kind, &PySet::new(py, given)?, setters)
        });
        let blank = PyDict::new(py);
        // In the order in which the frameworks have them.
        for name in [
            "token",
            "client_id",
            "scopes",
            "expires_at",
            "resource",
            "subject",
            "claims",
        ] {
            let is_usual = !matches!(name, "resource" | "subject" | "claims");
            if is_usual || has(name) {
                blank.set_item(PyString::intern(py, name), py.None())?;
            }
        }
        if has("resource") {
            blank.set_item(intern!(py, "resource"), &resource)?;
        }
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            blank: blank.unbind(),
            has_resource: has("resource"),
            has_subject: has("subject"),
            has_claims: has("claims"),
            resource,
            model: model.transpose()?,
            kind: kind.unbind(),
        })
    }

    /// The access token for these claims. It ends with the token, but not before `lasts_until`.
    #[pyo3(name = "make", signature = (claims, token, lasts_until = None))]
    fn make_for<'py>(
        &self,
        claims: &VerifiedClaims,
        token: &Bound<'py, PyString>,
        lasts_until: Option<i64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.make(claims, token, lasts_until)
    }
}

impl AccessTokens {
    /// The access token. It shares nothing that can be changed: not every framework leaves it alone, FastMCP's OAuth proxy
    /// writes into its claims.
    pub(crate) fn make<'py>(
        &self,
        claims: &VerifiedClaims,
        token: &Bound<'py, PyString>,
        lasts_until: Option<i64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = token.py();
        let values = self.values(py, claims)?;
        values.set_item(intern!(py, "token"), token)?;
        if let Some(end) = lasts_until.filter(|end| *end > claims.inner().expires_at.0) {
            values.set_item(intern!(py, "expires_at"), end)?;
        }
        if let Some(model) = &self.model {
            return model.make(&values);
        }
        if self.has_resource && self.resource.is_none() {
            values.del_item(intern!(py, "resource"))?;
        }
        self.kind.bind(py).call((), Some(&values))
    }

    /// All fields; that of the token is `None`.
    fn values<'py>(&self, py: Python<'py>, claims: &VerifiedClaims) -> PyResult<Bound<'py, PyDict>> {
        let Some(companion) = claims.companion() else {
            return self.fresh_values(py, claims);
        };
        let kept = companion.fields.get_or_try_init(py, || {
            let values = self.fresh_values(py, claims)?.unbind();
            Ok::<_, PyErr>(Fields {
                maker: self.id,
                values,
            })
        })?;
        if kept.maker == self.id {
            json::copy_of_dict(kept.values.bind(py))
        } else {
            self.fresh_values(py, claims)
        }
    }

    /// The same, made anew.
    fn fresh_values<'py>(&self, py: Python<'py>, claims: &VerifiedClaims) -> PyResult<Bound<'py, PyDict>> {
        let token = claims.inner();
        let all = claims.filled(py)?;
        let values = self.blank.bind(py).copy()?;
        // Not always the claim of that name.
        let client_id = all
            .client_id
            .filter(|claim| claim.to_str().is_ok_and(|claim| claim == token.client_id));
        let client_id = client_id.unwrap_or_else(|| PyString::new(py, &token.client_id));
        values.set_item(intern!(py, "client_id"), client_id)?;
        let scopes = match all.scopes {
            Some(scopes) => scopes,
            None => PyList::new(py, token.scopes.iter().map(AsRef::<str>::as_ref))?,
        };
        values.set_item(intern!(py, "scopes"), scopes)?;
        if token.expires_at != TokenClaims::NEVER {
            let end = match all.end {
                Some(end) => end,
                None => token.expires_at.0.into_bound_py_any(py)?,
            };
            values.set_item(intern!(py, "expires_at"), end)?;
        }
        if self.has_subject {
            values.set_item(intern!(py, "subject"), all.subject)?;
        }
        if self.has_claims {
            values.set_item(intern!(py, "claims"), all.claims)?;
        }
        Ok(values)
    }
}

/// A pydantic model that does nothing when it is made but to check its fields.
struct PlainModel {
    kind: Py<PyType>,
    new: Py<PyAny>,
    /// Copies the names of the fields that are set; the values of the others are the defaults.
    copy_given: Py<PyAny>,
    set_values: Py<PyAny>,
    set_given: Py<PyAny>,
    set_extra: Py<PyAny>,
    set_private: Py<PyAny>,
}

impl PlainModel {
    fn new(kind: &Bound<'_, PyType>, given: &Bound<'_, PySet>, setters: [Py<PyAny>; 4]) -> PyResult<Self> {
        let [set_values, set_given, set_extra, set_private] = setters;
        Ok(Self {
            new: kind.getattr("__new__")?.unbind(),
            kind: kind.clone().unbind(),
            copy_given: given.getattr("copy")?.unbind(),
            set_values,
            set_given,
            set_extra,
            set_private,
        })
    }

    /// As pydantic leaves a model whose fields are good.
    fn make<'py>(&self, values: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let py = values.py();
        let model = self.new.bind(py).call1((&self.kind,))?;
        self.set_values.call1(py, (&model, values))?;
        self.set_given.call1(py, (&model, self.copy_given.call0(py)?))?;
        self.set_extra.call1(py, (&model, py.None()))?;
        self.set_private.call1(py, (&model, py.None()))?;
        Ok(model)
    }
}
