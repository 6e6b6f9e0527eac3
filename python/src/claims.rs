//! `VerifiedClaims`: what a verified token says, to Python.

use std::sync::atomic::{AtomicBool, Ordering};

use doorward_guard::{Claims, Scope};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use serde_json::Value;

use crate::access_token::Fields;
use crate::template::{Filled, Template};
use crate::{errors, json};

/// The claims of a verified access token. Cannot be changed.
#[pyclass(frozen, module = "doorward", name = "VerifiedClaims")]
pub(crate) struct VerifiedClaims {
    claims: Claims,
    /// Whether the token was seen before.
    has_returned: bool,
    raw: PyOnceLock<Py<PyAny>>,
}

/// What Python made of the claims of a token, for as long as the token is remembered. Nothing of it leads back to the claims:
/// they would keep each other.
pub(crate) struct Companion {
    /// Whether there was a request with the token before.
    met: AtomicBool,
    /// `raw`, never handed out.
    raw: PyOnceLock<Py<PyDict>>,
    /// Of the access token of one framework.
    pub(crate) fields: PyOnceLock<Fields>,
}

impl Companion {
    fn new() -> Self {
        Self {
            met: AtomicBool::new(false),
            raw: PyOnceLock::new(),
            fields: PyOnceLock::new(),
        }
    }
}

impl VerifiedClaims {
    pub(crate) fn new(claims: Claims) -> Self {
        let has_returned = claims
            .companion(Companion::new)
            .is_some_and(|companion| companion.met.swap(true, Ordering::Relaxed));
        Self {
            claims,
            has_returned,
            raw: PyOnceLock::new(),
        }
    }

    pub(crate) fn inner(&self) -> &Claims {
        &self.claims
    }

    /// Every claim, as a new dictionary, and those of them that an access token repeats.
    pub(crate) fn filled<'py>(&self, py: Python<'py>) -> PyResult<Filled<'py>> {
        if let Some(alike) = self.claims.raw.alike()
            && let Some(template) = Template::of(py, &alike)?
        {
            return template.fill(py, &alike);
        }
        let document = self.claims.raw.as_json();
        // Once for all strings in it, instead of once for each.
        let claims = match document.and_then(|document| str::from_utf8(document).ok()) {
            Some(document) => json::object(py, document)?,
            None => json::to_dict(py, &self.claims.raw)?,
        };
        Filled::of(claims)
    }

    /// Only for tokens that come again: most of what is made for one request is never needed for another.
    pub(crate) fn companion(&self) -> Option<&Companion> {
        let companion = self.claims.companion(Companion::new);
        companion.filter(|_| self.has_returned)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.raw.get(claim)?.as_str()
    }

    fn frozen_claim<'py>(&self, py: Python<'py>, claim: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = self.claims.raw.get(claim);
        value.map(|value| json::to_frozen(py, value)).transpose()
    }
}

#[pymethods]
impl VerifiedClaims {
    /// `sub`: the person or, without one, the client for whom the request is made.
    #[getter]
    fn sub(&self) -> &str {
        &self.claims.subject
    }

    /// `client_id`: the program that makes the request.
    #[getter]
    fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// `scope`, as a tuple. Empty when nothing was granted.
    #[getter]
    fn scopes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.claims.scopes.iter().map(Scope::as_str))
    }

    /// `iss`
    #[getter]
    fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// `aud`, as a tuple.
    #[getter]
    fn audience<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.claims.audience)
    }

    /// `exp`, in seconds since 1970.
    #[getter]
    fn expires_at(&self) -> i64 {
        self.claims.expires_at.0
    }

    /// `iat`, in seconds since 1970.
    #[getter]
    fn issued_at(&self) -> i64 {
        self.claims.issued_at.0
    }

    /// `nbf`, in seconds since 1970; 0 when the token has none.
    #[getter]
    fn not_before(&self) -> i64 {
        self.claims.not_before.map_or(0, |nbf| nbf.0)
    }

    /// `jti`: names this token.
    #[getter]
    fn jti(&self) -> &str {
        &self.claims.jti
    }

    /// `kid` of the header: the issuer's key that signed the token.
    #[getter]
    fn kid(&self) -> &str {
        self.claims.key_id.as_deref().unwrap_or_default()
    }

    /// `gid`: the grant that the token comes from, if the server says so.
    #[getter]
    fn grant_id(&self) -> Option<&str> {
        self.claims.grant_id.as_deref()
    }

    /// `agent_id`; empty when the token has none.
    #[getter]
    fn agent_id(&self) -> &str {
        self.text("agent_id").unwrap_or_default()
    }

    /// `agent_chain`, as a tuple; empty when the token has none.
    #[getter]
    fn agent_chain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let chain = self.claims.raw.get("agent_chain").and_then(Value::as_array);
        let agents = chain.into_iter().flatten().filter_map(Value::as_str);
        PyTuple::new(py, agents.collect::<Vec<_>>())
    }

    /// `act`: who acts for the subject (RFC 8693 §4.1). Only the outermost actor counts for decisions.
    #[getter]
    fn act<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.frozen_claim(py, "act")
    }

    /// `may_act`: who may act for the subject (RFC 8693 §4.4).
    #[getter]
    fn may_act<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.frozen_claim(py, "may_act")
    }

    /// The key that the token is bound to and that the sender has proved to have (RFC 9449); `None` for bearer tokens.
    #[getter]
    fn dpop_proof(&self) -> Option<VerifiedDPoPProof> {
        self.claims.key_thumbprint.clone().map(VerifiedDPoPProof)
    }

    /// Every claim of the token, as mappings and tuples that cannot be changed.
    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let raw = self.raw.get_or_try_init(py, || {
            json::to_frozen_mapping(py, &self.claims.raw).map(Bound::unbind)
        })?;
        Ok(raw.clone_ref(py))
    }

    /// Every claim of the token, as a new dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Some(companion) = self.companion() else {
            return Ok(self.filled(py)?.claims);
        };
        let raw = companion
            .raw
            .get_or_try_init(py, || Ok::<_, PyErr>(self.filled(py)?.claims.unbind()))?;
        json::copy_of_dict(raw.bind(py))
    }

    /// Whether the scope was granted.
    fn has_scope(&self, scope: &str) -> bool {
        self.claims.has_scope(scope)
    }

    /// Raises `InsufficientScopeError` unless the scope was granted.
    fn require_scope(&self, py: Python<'_>, scope: String) -> PyResult<()> {
        self.require_scopes(py, vec![scope])
    }

    /// Raises `InsufficientScopeError`, which names them all, unless every scope was granted.
    fn require_scopes(&self, py: Python<'_>, scopes: Vec<String>) -> PyResult<()> {
        if scopes.iter().all(|scope| self.claims.has_scope(scope)) {
            return Ok(());
        }
        Err(errors::insufficient_scope(py, scopes))
    }

    /// Whether the token has the claim, or has it with this value. `None` is any value.
    #[pyo3(signature = (key, value = None))]
    fn has_claim(&self, py: Python<'_>, key: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        match (self.claims.raw.get(key), value) {
            (Some(claim), Some(value)) => json::to_python(py, claim)?.eq(value),
            (claim, _) => Ok(claim.is_some()),
        }
    }

    /// What cannot be changed is its own copy.
    fn __copy__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __deepcopy__(this: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        this
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.claims.raw == other.claims.raw
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        BuildHasherDefault::<DefaultHasher>::default().hash_one((&self.claims.issuer, &self.claims.jti))
    }

    fn __repr__(&self) -> String {
        // Without `raw`: other claims may be personal.
        format!(
            "VerifiedClaims(sub={:?}, client_id={:?}, scopes={:?}, jti={:?})",
            self.claims.subject,
            self.claims.client_id,
            self.claims.scopes.to_string(),
            self.claims.jti,
        )
    }
}

/// The proof that came with a bound token.
#[pyclass(frozen, module = "doorward", name = "VerifiedDPoPProof", eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VerifiedDPoPProof(String);

#[pymethods]
impl VerifiedDPoPProof {
    /// A proof by the key with this RFC 7638 thumbprint.
    #[new]
    fn new(jkt: String) -> PyResult<Self> {
        if jkt.is_empty() {
            return Err(PyValueError::new_err("the thumbprint of the key is missing"));
        }
        Ok(Self(jkt))
    }

    /// The RFC 7638 thumbprint of the key.
    #[getter]
    fn jkt(&self) -> &str {
        &self.0
    }

    fn __repr__(&self) -> String {
        format!("VerifiedDPoPProof(jkt={:?})", self.0)
    }
}
