//! `_core.challenge`: a `WWW-Authenticate` value.

use doorward_guard::oauth::challenge::Challenge;
use doorward_guard::oauth::error::{ErrorCode, error_text};
use doorward_guard::oauth::scope::ScopeSet;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// One challenge, with what is given of it.
#[pyfunction]
#[pyo3(signature = (scheme, error, description, scopes, resource_metadata, algorithms, realm))]
pub(crate) fn challenge(
    scheme: &str,
    error: Option<&str>,
    description: Option<&str>,
    scopes: Vec<String>,
    resource_metadata: Option<&str>,
    algorithms: Vec<String>,
    realm: &str,
) -> PyResult<String> {
    let mut challenge = if scheme.eq_ignore_ascii_case("DPoP") {
        Challenge::dpop(algorithms.iter().map(String::as_str))
    } else if scheme.eq_ignore_ascii_case("Bearer") {
        Challenge::bearer()
    } else {
        return Err(PyValueError::new_err("the scheme must be Bearer or DPoP"));
    };
    if let Some(error) = error {
        let code = ErrorCode::from_wire(error);
        challenge = challenge.error(code.ok_or_else(|| PyValueError::new_err("no error code of OAuth"))?);
    }
    if let Some(description) = description {
        challenge = challenge.description(description);
    }
    if let Some(url) = resource_metadata {
        challenge = challenge.resource_metadata(url);
    }
    let scopes =
        ScopeSet::parse(&scopes.join(" ")).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let value = challenge.scope(&scopes).to_header_value();
    if realm.is_empty() {
        return Ok(value);
    }
    // RFC 9110 §11.5: the realm leads.
    let (scheme, parameters) = value.split_once(' ').unwrap_or((&value, ""));
    let separator = if parameters.is_empty() { "" } else { ", " };
    Ok(format!(
        "{scheme} realm=\"{}\"{separator}{parameters}",
        error_text(realm)
    ))
}
