//! From Rust futures to `asyncio`.
//!
//! Most futures of the guard have nothing to wait for: the keys are there, the signature takes microseconds. They are
//! polled once where they are called, and their result is handed back at once. Only what is not ready then moves to the
//! runtime, and Python gets an `asyncio.Future` that is resolved from there.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::task::AbortHandle;

use crate::runtime;

/// Runs a future; `finish` translates its outcome. Python gets the result itself if it was ready at once, else an
/// `asyncio.Future` of the running loop. To cancel that drops the Rust future.
pub(crate) fn run<F, M>(py: Python<'_>, future: F, finish: M) -> PyResult<Py<PyAny>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    M: FnOnce(Python<'_>, F::Output) -> PyResult<Py<PyAny>> + Send + 'static,
{
    let runtime = runtime::handle()?;
    let mut future: Pin<Box<F>> = Box::pin(future);
    let polled = {
        // The guard starts tasks and timers of its own.
        let _entered = runtime.enter();
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    if let Poll::Ready(outcome) = polled {
        return finish(py, outcome);
    }
    let event_loop = running_loop(py)?;
    let promise = event_loop.call_method0("create_future")?;
    let waiting = Waiting {
        event_loop: event_loop.unbind(),
        promise: promise.clone().unbind(),
        is_told: false,
    };
    let task = runtime.spawn(CALLER.scope(waiting.event_loop.clone_ref(py), async move {
        let outcome = future.await;
        // Nobody is there to be told when the interpreter has ended.
        Python::try_attach(|py| waiting.resolve(py, finish(py, outcome)));
    }));
    promise.call_method1("add_done_callback", (Cancel(task.abort_handle()),))?;
    Ok(promise.unbind())
}

/// The event loop that runs in this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}

tokio::task_local! {
    /// The loop of whoever waits for the future that runs here.
    static CALLER: Py<PyAny>;
}

/// The event loop of whoever waits for the future that is being polled. What is done for everybody has none.
pub(crate) fn loop_of_caller(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // The first poll happens where the call is made.
    loop_that_waits(py).or_else(|| running_loop(py).ok())
}

/// The same, but nothing for the first poll: whoever made the call is not waiting yet.
pub(crate) fn loop_that_waits(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    CALLER.try_with(|event_loop| event_loop.bind(py).clone()).ok()
}

/// Somebody waits for an outcome. Dropped without one, because the future panicked or the runtime ends, it says so.
struct Waiting {
    event_loop: Py<PyAny>,
    promise: Py<PyAny>,
    is_told: bool,
}

impl Waiting {
    fn resolve(mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) {
        self.tell(py, outcome);
    }

    fn tell(&mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) {
        self.is_told = true;
        let resolve = Resolve {
            promise: self.promise.clone_ref(py),
            outcome,
        };
        // A loop that was closed meanwhile has nobody left who waits.
        drop(
            self.event_loop
                .call_method1(py, "call_soon_threadsafe", (resolve,)),
        );
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_told {
            Python::try_attach(|py| {
                let error =
                    PyRuntimeError::new_err("the guard ended without an outcome; standard error says why");
                self.tell(py, Err(error));
            });
        }
    }
}

/// Puts an outcome into its future, in the thread of the loop.
#[pyclass(frozen)]
struct Resolve {
    promise: Py<PyAny>,
    outcome: PyResult<Py<PyAny>>,
}

#[pymethods]
impl Resolve {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let promise = self.promise.bind(py);
        if promise.call_method0("done")?.is_truthy()? {
            return Ok(());
        }
        match &self.outcome {
            Ok(value) => promise.call_method1("set_result", (value,))?,
            Err(error) => promise.call_method1("set_exception", (error.clone_ref(py).into_value(py),))?,
        };
        Ok(())
    }
}

/// Called when the `asyncio` future is done, by whomever.
#[pyclass(frozen)]
struct Cancel(AbortHandle);

#[pymethods]
impl Cancel {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        self.0.abort();
    }
}
