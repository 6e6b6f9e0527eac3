//! A clock that is a Python callable.

use std::sync::atomic::{AtomicBool, Ordering};

use doorward_guard::{Clock, UnixSeconds};
use pyo3::prelude::*;

/// Asks Python what time it is: seconds since 1970, as `time.time` says them.
pub(crate) struct PyClock {
    callable: Py<PyAny>,
    /// Told once, not with every request.
    is_failing: AtomicBool,
}

impl PyClock {
    pub(crate) fn new(callable: Py<PyAny>) -> Self {
        Self {
            callable,
            is_failing: AtomicBool::new(false),
        }
    }

    fn tell(&self, error: &PyErr) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                target: "doorward_guard::clock",
                %error,
                "the clock failed, and no token counts until it tells the time again"
            );
        }
    }
}

impl Clock for PyClock {
    fn now(&self) -> UnixSeconds {
        let asked = Python::try_attach(|py| {
            let seconds: f64 = self.callable.call0(py)?.extract(py)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates: at the end of time nothing is valid"
            )]
            Ok::<_, PyErr>(seconds as i64)
        });
        match asked {
            Some(Ok(seconds)) => {
                self.is_failing.store(false, Ordering::Relaxed);
                return UnixSeconds(seconds);
            }
            Some(Err(error)) => self.tell(&error),
            None => {}
        }
        // The end of time: nothing is valid.
        UnixSeconds(i64::MAX)
    }
}
