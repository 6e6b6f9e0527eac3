//! Calls of asynchronous Python callables from Rust futures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::bridge;

/// How long a callable may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The event loop that callables run in: the one that the guard was used from last.
#[derive(Clone, Default)]
pub(crate) struct EventLoop(Arc<Mutex<Option<Py<PyAny>>>>);

impl EventLoop {
    /// Takes note of the running loop, if there is one.
    pub(crate) fn remember(&self, py: Python<'_>) {
        if let Ok(running) = bridge::running_loop(py) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.unbind());
        }
    }

    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|event_loop| event_loop.clone_ref(py))
    }
}

/// Why there is no result of a callable.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It raised an exception of this kind. Only the kind: the text may hold what was sent.
    Raised(String),
    /// It took too long.
    TooSlow,
    /// No loop runs that it could be called in.
    NoLoop,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Raised(kind) => write!(f, "it raised {kind}"),
            Self::TooSlow => f.write_str("it took too long"),
            Self::NoLoop => f.write_str("no event loop runs that it could be called in"),
        }
    }
}

/// Makes the awaitable, in the thread of the loop.
type Begin = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// Takes what it came to, in the thread of the loop.
type End = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send>;
type Task = Arc<Mutex<Option<Py<PyAny>>>>;

/// Awaits in Python what `begin` makes, and reads the result. Dropped, it cancels the Python task.
pub(crate) async fn call<T, B, R>(event_loop: &EventLoop, begin: B, read: R) -> Result<T, CallError>
where
    T: Send + 'static,
    B: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    R: FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let end = move |py: Python<'_>, result: PyResult<Bound<'_, PyAny>>| {
        let outcome = result.and_then(|result| read(&result));
        drop(sender.send(outcome.map_err(|error| CallError::Raised(kind(py, &error)))));
    };
    let task = Task::default();
    let call = Call {
        task: Arc::clone(&task),
        steps: Mutex::new(Some((Box::new(begin), Box::new(end)))),
    };
    let running = Running(task);
    let scheduled = Python::try_attach(|py| {
        let event_loop = event_loop.get(py)?;
        event_loop.call_method1(py, "call_soon_threadsafe", (call,)).ok()
    });
    if scheduled.flatten().is_none() {
        return Err(CallError::NoLoop);
    }
    let outcome = tokio::time::timeout(TIMEOUT, receiver).await;
    drop(running);
    match outcome {
        Ok(Ok(outcome)) => outcome,
        // The loop has ended.
        Ok(Err(_)) => Err(CallError::NoLoop),
        Err(_) => Err(CallError::TooSlow),
    }
}

fn kind(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).name().map(|name| name.to_string());
    name.unwrap_or_else(|_| "an exception".to_owned())
}

/// A call under way. Dropped when nobody waits for it any more, it cancels the task.
struct Running(Task);

impl Drop for Running {
    fn drop(&mut self) {
        let task = take(&self.0);
        if let Some(task) = task {
            Python::try_attach(|py| {
                let cancel = || {
                    let event_loop = task.call_method0(py, "get_loop")?;
                    event_loop.call_method1(py, "call_soon_threadsafe", (task.getattr(py, "cancel")?,))
                };
                // A loop that was closed has ended its tasks.
                drop(cancel());
            });
        }
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Begins a call.
#[pyclass(frozen)]
struct Call {
    task: Task,
    steps: Mutex<Option<(Begin, End)>>,
}

#[pymethods]
impl Call {
    fn __call__(&self, py: Python<'_>) {
        // Nobody waits any more once the future was dropped, and with it the other owner.
        let Some((begin, end)) = take(&self.steps).filter(|_| Arc::strong_count(&self.task) > 1) else {
            return;
        };
        let awaited = begin(py).and_then(|awaitable| {
            let asyncio = py.import("asyncio")?;
            asyncio.call_method1("ensure_future", (awaitable,))
        });
        match awaited {
            Ok(task) => {
                *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone().unbind());
                let finished = Finished {
                    task: Arc::clone(&self.task),
                    end: Mutex::new(Some(end)),
                };
                drop(task.call_method1("add_done_callback", (finished,)));
            }
            Err(error) => end(py, Err(error)),
        }
    }
}

/// Hands the outcome of a call back.
#[pyclass(frozen)]
struct Finished {
    task: Task,
    end: Mutex<Option<End>>,
}

#[pymethods]
impl Finished {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        drop(take(&self.task));
        if let Some(end) = take(&self.end) {
            end(py, task.call_method0("result"));
        }
    }
}
