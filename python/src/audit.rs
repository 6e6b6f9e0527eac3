//! Decisions of the guard, told to Python.

use std::sync::Arc;

use doorward_guard::{AuditHook, Decision, Verdict};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::Level;

use crate::bridge;
use crate::claims::VerifiedClaims;
use crate::failure::{Failures, Texts};

/// Calls `on_decision(decision)` with a dictionary, in the thread of whoever waits for the decision.
pub(crate) struct PyAuditHook(Arc<Hook>);

struct Hook {
    callable: Py<PyAny>,
    failures: Failures,
}

impl AuditHook for PyAuditHook {
    fn on_decision(&self, decision: &Decision<'_>) {
        Python::try_attach(|py| match to_dict(py, decision) {
            Ok(decision) => self.tell(py, &decision.unbind()),
            Err(error) => self.0.has_failed(&error),
        });
    }
}

impl PyAuditHook {
    pub(crate) fn new(callable: Py<PyAny>) -> Self {
        let failures = Failures::new(
            "doorward.guard.audit",
            Level::ERROR,
            "the audit hook failed",
            "the audit hook works again",
        );
        Self(Arc::new(Hook { callable, failures }))
    }

    fn tell(&self, py: Python<'_>, decision: &Py<PyDict>) {
        if let Some(event_loop) = bridge::loop_that_waits(py) {
            let telling = Telling {
                hook: Arc::clone(&self.0),
                decision: decision.clone_ref(py),
            };
            // What was decided about goes on there after this. A loop that was closed tells nobody any more.
            if event_loop
                .call_method1("call_soon_threadsafe", (telling,))
                .is_ok()
            {
                return;
            }
        }
        self.0.tell(py, decision);
    }
}

/// A decision that is told where it is called.
#[pyclass(frozen)]
struct Telling {
    hook: Arc<Hook>,
    decision: Py<PyDict>,
}

#[pymethods]
impl Telling {
    fn __call__(&self, py: Python<'_>) {
        self.hook.tell(py, &self.decision);
    }
}

impl Hook {
    fn tell(&self, py: Python<'_>, decision: &Py<PyDict>) {
        match self.callable.call1(py, (decision,)) {
            Ok(_) => self.failures.worked(),
            Err(error) => self.has_failed(&error),
        }
    }

    fn has_failed(&self, error: &PyErr) {
        self.failures.failed(error, Some(error), Texts::All);
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
        Verdict::Allowed => (true, None, None, None),
        // What a guard may say one day that this binding does not know lets nothing through.
        _ => (false, None, None, None),
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
