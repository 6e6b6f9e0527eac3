//! `SubjectToken`: the token of a request, for exchanging it.

use doorward_guard::Claims;
use http::HeaderValue;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The access token with which a request came, as a thing that cannot be read, only exchanged at its issuer.
#[pyclass(frozen, module = "doorward", name = "SubjectToken")]
pub(crate) struct SubjectToken {
    credentials: HeaderValue,
    claims: Claims,
}

impl SubjectToken {
    /// The token in the `Authorization` header of a request that the guard let through.
    pub(crate) fn new(credentials: HeaderValue, claims: Claims) -> Self {
        Self { credentials, claims }
    }

    /// The token itself, for `issuer` alone: whoever else gets it could use it here until it expires.
    pub(crate) fn shown_to(&self, issuer: &str) -> PyResult<&str> {
        if self.claims.issuer != issuer {
            return Err(PyValueError::new_err(format!(
                "the caller's token is of {}, not of this client's issuer, and is not shown to it; exchange it with a DoorwardClient of its own issuer",
                self.claims.issuer
            )));
        }
        let token = self
            .credentials
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '));
        Ok(token.map_or("", |(_, token)| token))
    }
}

#[pymethods]
impl SubjectToken {
    /// `iss`: where it can be exchanged.
    #[getter]
    fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    fn __repr__(&self) -> String {
        format!("SubjectToken(issuer={:?})", self.claims.issuer)
    }

    /// Pickled, it could be read.
    #[expect(clippy::unused_self, reason = "Python calls it on an instance")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a caller's token stays with its request: it cannot be pickled or copied",
        ))
    }
}
