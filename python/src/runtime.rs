//! Where futures run that have to wait: one small tokio runtime in threads of its own, started when it is first needed.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads do not come along into a forked process, so that a runtime counts only where it was started.
static RUNTIME: Mutex<Option<Started>> = Mutex::new(None);

/// How long what is still under way may take at the end of the program.
const FAREWELL: Duration = Duration::from_secs(1);

struct Started {
    process: u32,
    runtime: Runtime,
}

/// The runtime of this process.
pub(crate) fn handle() -> PyResult<Handle> {
    let process = std::process::id();
    let mut started = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(here) = started.as_ref().filter(|started| started.process == process) {
        return Ok(here.runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("doorward")
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    crate::log::start()?;
    // The parent's runtime has no threads here that could be waited for.
    mem::forget(started.replace(Started { process, runtime }));
    Ok(handle)
}

/// Ends the runtime before the interpreter does; for `atexit`. Nothing that runs here may want the interpreter after it
/// is gone.
#[pyfunction]
pub(crate) fn shut_down(py: Python<'_>) {
    let started = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    match started {
        Some(started) if started.process == std::process::id() => {
            py.detach(|| {
                started.runtime.shutdown_timeout(FAREWELL);
                crate::log::shut_down(FAREWELL);
            });
        }
        forked => mem::forget(forked),
    }
}
