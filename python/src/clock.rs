//! A clock that is a Python callable.

use doorward_guard::{Clock, UnixSeconds};
use pyo3::prelude::*;
use tracing::Level;

use crate::failure::{Failures, Texts};

/// Asks Python what time it is: seconds since 1970, as `time.time` says them.
pub(crate) struct PyClock {
    callable: Py<PyAny>,
    failures: Failures,
}

impl PyClock {
    pub(crate) fn new(callable: Py<PyAny>) -> Self {
        Self {
            callable,
            failures: Failures::new(
                "doorward.guard.clock",
                Level::ERROR,
                "the clock failed, and no token counts until it tells the time again",
                "the clock tells the time again",
            ),
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
                self.failures.worked();
                return UnixSeconds(seconds);
            }
            Some(Err(error)) => self.failures.failed(&error, Some(&error), Texts::All),
            None => {}
        }
        // The end of time: nothing is valid.
        UnixSeconds(i64::MAX)
    }
}
