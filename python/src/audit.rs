//! Decisions of the guard, told to Python.

use doorward_guard::{AuditHook, Decision, Verdict};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::claims::VerifiedClaims;

/// Calls `on_decision(decision)` with a dictionary.
pub(crate) struct PyAuditHook(pub(crate) Py<PyAny>);

impl AuditHook for PyAuditHook {
    fn on_decision(&self, decision: &Decision<'_>) {
        let told = Python::try_attach(|py| self.0.call1(py, (to_dict(py, decision)?,)));
        if let Some(Err(error)) = told {
            tracing::error!(%error, "the audit hook failed");
        }
    }
}

fn to_dict<'py>(py: Python<'py>, decision: &Decision<'_>) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("at", decision.at.0)?;
    told.set_item("claims", decision.claims.cloned().map(VerifiedClaims::new))?;
    told.set_item("method", decision.method)?;
    told.set_item("target", decision.target)?;
    let (allowed, reason, error_id, needed) = match decision.verdict {
        Verdict::Refused {
            reason,
            error_id,
            needed,
            ..
        } => (false, Some(reason.as_str()), Some(error_id), needed),
        _ => (true, None, None, None),
    };
    told.set_item("allowed", allowed)?;
    told.set_item("reason", reason)?;
    told.set_item("error_id", error_id)?;
    let needed = needed.map(|scopes| {
        scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect::<Vec<_>>()
    });
    told.set_item("needed_scopes", needed.unwrap_or_default())?;
    Ok(told)
}
