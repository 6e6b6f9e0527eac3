//! A clock that is a Python callable.

use doorward_guard::{Clock, UnixSeconds};
use pyo3::prelude::*;

/// Asks Python what time it is: seconds since 1970, as `time.time` says them.
pub(crate) struct PyClock(pub(crate) Py<PyAny>);

impl Clock for PyClock {
    fn now(&self) -> UnixSeconds {
        let asked = Python::try_attach(|py| {
            let seconds: f64 = self.0.call0(py)?.extract(py)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates: at the end of time nothing is valid"
            )]
            Ok::<_, PyErr>(seconds as i64)
        });
        match asked {
            Some(Ok(seconds)) => UnixSeconds(seconds),
            // The end of time: nothing is valid.
            _ => UnixSeconds(i64::MAX),
        }
    }
}
