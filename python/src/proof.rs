//! Proofs of possession by themselves.

use std::time::Duration;

use doorward_guard::oauth::dpop::{
    NONCE_LIFETIME, NonceAge, NonceKey, Nonces, ProofContext, ProofError, ProofRules, TargetUri,
};
use doorward_guard::{Reason, UnixSeconds};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::dpop::DpopOptions;
use crate::errors;

/// The request that a proof must have been made for.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Request<'py> {
    method: Bound<'py, PyString>,
    url: Bound<'py, PyString>,
    access_token: Option<Bound<'py, PyString>>,
    now: i64,
}

/// What is known of a good proof, whose replay is still to be looked for.
#[pyfunction]
pub(crate) fn check_proof<'py>(
    py: Python<'py>,
    proof: Bound<'py, PyString>,
    request: Request<'py>,
    options: DpopOptions,
) -> PyResult<Bound<'py, PyDict>> {
    // What is no text cannot fit anything.
    let (method, url) = (request.method.to_string_lossy(), request.url.to_string_lossy());
    let access_token = request.access_token.as_ref().map(|token| token.to_string_lossy());
    let uri = TargetUri::parse(&url).map_err(|_| {
        // The path may be a stranger's, the beginning is not.
        if url.starts_with("https://") || url.starts_with("http://") {
            errors::proof(py, Reason::Proof(ProofError::Uri), None)
        } else {
            PyValueError::new_err("the URL must begin with https:// or http://")
        }
    })?;
    let nonces = nonces(&options)?;
    let now = UnixSeconds(request.now);
    let context = ProofContext {
        method: &method,
        uri: &uri,
        access_token: access_token.as_deref(),
        nonces: nonces.as_ref(),
    };
    let proof = options
        .rules()?
        .verify(&proof.to_string_lossy(), &context, now)
        .map_err(|error| refused(py, error, nonces.as_ref(), now))?;
    let checked = PyDict::new(py);
    checked.set_item("jkt", proof.key_thumbprint())?;
    checked.set_item("jti", proof.jti())?;
    checked.set_item("id", PyBytes::new(py, &proof.replay_id()))?;
    let key = doorward_guard::jose::sha256(proof.key_thumbprint().as_bytes());
    checked.set_item("key", PyBytes::new(py, &key))?;
    checked.set_item("until", proof.acceptable_until().0)?;
    let ageing = nonces.filter(|_| proof.nonce_age() == Some(NonceAge::Ageing));
    checked.set_item("next_nonce", ageing.map(|nonces| nonces.issue(now)))?;
    Ok(checked)
}

/// Without keys there is nothing that a nonce could have been made with.
fn nonces(options: &DpopOptions) -> PyResult<Option<Nonces>> {
    if !options.requires_nonce() {
        return Ok(None);
    }
    let (current, previous) = options
        .nonce_keys()?
        .ok_or_else(|| PyValueError::new_err("proofs need a nonce; give its nonce_keys"))?;
    let nonces = Nonces::new(NonceKey::new(current), NONCE_LIFETIME);
    Ok(Some(match previous {
        Some(key) => nonces.with_previous(NonceKey::new(key)),
        None => nonces,
    }))
}

fn refused(py: Python<'_>, error: ProofError, nonces: Option<&Nonces>, now: UnixSeconds) -> PyErr {
    let nonces = nonces.filter(|_| matches!(error, ProofError::Nonce(_)));
    let nonce = nonces.map(|nonces| nonces.issue(now));
    errors::proof(py, Reason::Proof(error), nonce.as_deref())
}

impl DpopOptions {
    fn rules(&self) -> PyResult<ProofRules> {
        Ok(ProofRules {
            algorithms: self.algorithms()?,
            max_age: Duration::from_secs(self.max_age()),
            max_ahead: Duration::from_secs(self.max_ahead()),
        })
    }
}
