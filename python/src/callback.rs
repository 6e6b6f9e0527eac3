//! Calls of asynchronous Python callables from Rust futures.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyAttributeError, PyImportError, PyNameError, PyTypeError};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::bridge;

/// How long a callable may take, where nothing else is said.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Loops that are remembered at most.
const LOOPS: usize = 8;

/// The event loops that the guard was used from last, the latest at the end. Whoever waits for a callable has it called in
/// their own loop; what is done for everybody, like fetching keys, is called in one of these.
#[derive(Clone, Default)]
pub(crate) struct EventLoops(Arc<Mutex<Vec<Py<PyAny>>>>);

impl EventLoops {
    /// Takes note of the running loop, if there is one.
    pub(crate) fn remember(&self, py: Python<'_>) {
        let Ok(running) = bridge::running_loop(py) else {
            return;
        };
        let mut known = self.known();
        if known.last().is_some_and(|last| last.is(&running)) {
            return;
        }
        let place = known.iter().position(|event_loop| event_loop.is(&running));
        let earlier = match place {
            Some(place) => Some(known.remove(place)),
            None if known.len() >= LOOPS => Some(known.remove(0)),
            None => None,
        };
        known.push(running.unbind());
        drop(known);
        // After the lock: a loop that goes away may run code, which may come here again.
        drop(earlier);
    }

    /// Calls it soon, in the loop of whoever waits, else in the latest that runs, else in the latest that may run again.
    fn call_soon(&self, py: Python<'_>, call: Call) -> Option<()> {
        let call = Py::new(py, call).ok()?;
        let call_in = |event_loop: &Bound<'_, PyAny>| {
            let scheduled = event_loop.call_method1("call_soon_threadsafe", (&call,));
            // A loop that was closed takes no calls.
            scheduled.ok().map(drop)
        };
        if let Some(event_loop) = bridge::loop_of_caller(py) {
            return call_in(&event_loop);
        }
        let known: Vec<_> = self.known().iter().map(|known| known.clone_ref(py)).collect();
        let (running, idle): (Vec<_>, Vec<_>) = known
            .into_iter()
            .rev()
            .map(|event_loop| event_loop.into_bound(py))
            .partition(is_running);
        running.iter().chain(&idle).find_map(call_in)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Py<PyAny>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_running(event_loop: &Bound<'_, PyAny>) -> bool {
    let running = event_loop.call_method0("is_running");
    running.is_ok_and(|running| running.is_truthy().unwrap_or_default())
}

/// Why there is no result of a callable.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It raised an exception.
    Raised(Raised),
    /// It took too long.
    TooSlow,
    /// Its event loop had no time for it, or no thread was free: it was not begun.
    NotBegun,
    /// No loop runs that it could be called in.
    NoLoop,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Only the kind: the text may hold what was sent.
            Self::Raised(raised) => write!(f, "it raised {}", raised.kind),
            Self::TooSlow => f.write_str("it took too long"),
            Self::NotBegun => f.write_str("nobody had time to begin it"),
            Self::NoLoop => f.write_str("no event loop runs that it could be called in"),
        }
    }
}

impl CallError {
    /// Whether it says nothing of whoever is asked: a loop of this program ended, or was held up, or the program is wrong.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::NotBegun | Self::NoLoop => true,
            Self::Raised(raised) => raised.is_mistake || raised.kind == "CancelledError",
            Self::TooSlow => false,
        }
    }

    /// The exception, where there is one.
    pub(crate) fn raised(&self) -> Option<&PyErr> {
        match self {
            Self::Raised(raised) => Some(&raised.error),
            _ => None,
        }
    }

    fn of(py: Python<'_>, error: PyErr) -> Self {
        let name = error.get_type(py).name().map(|name| name.to_string());
        let kind = name.unwrap_or_else(|_| "an exception".to_owned());
        if kind == "NotBegunError" {
            return Self::NotBegun;
        }
        let is_mistake = error.is_instance_of::<PyTypeError>(py)
            || error.is_instance_of::<PyAttributeError>(py)
            || error.is_instance_of::<PyNameError>(py)
            || error.is_instance_of::<PyImportError>(py);
        Self::Raised(Raised {
            kind,
            is_mistake,
            error,
        })
    }
}

/// An exception of a callable.
#[derive(Debug)]
pub(crate) struct Raised {
    kind: String,
    /// Whether it says that the program is wrong, as no server that is away can make it.
    is_mistake: bool,
    error: PyErr,
}

/// Makes the awaitable, in the thread of the loop.
type Begin = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// Takes what it came to, in the thread of the loop.
type End = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send>;

/// How far a call is. Its loop and whoever waits for it are in different threads.
#[derive(Clone, Default)]
struct Progress(Arc<Mutex<Stage>>);

#[derive(Default)]
enum Stage {
    #[default]
    Scheduled,
    /// The Python task.
    Running(Py<PyAny>),
    /// It has ended, or nobody waits for it any more.
    Over,
}

impl Progress {
    /// The task that ran, for whoever ends it.
    fn end(&self) -> Option<Py<PyAny>> {
        match mem::replace(&mut *self.stage(), Stage::Over) {
            Stage::Running(task) => Some(task),
            Stage::Scheduled | Stage::Over => None,
        }
    }

    fn has_begun(&self) -> bool {
        !matches!(*self.stage(), Stage::Scheduled)
    }

    fn is_over(&self) -> bool {
        matches!(*self.stage(), Stage::Over)
    }

    /// False when nobody waits for the task.
    fn begin(&self, task: Py<PyAny>) -> bool {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Over) {
            return false;
        }
        *stage = Stage::Running(task);
        true
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Awaits in Python what `begin` makes, for so long, and reads the result. Dropped, it cancels the Python task.
pub(crate) async fn call<T, B, R>(
    event_loops: &EventLoops,
    limit: Duration,
    begin: B,
    read: R,
) -> Result<T, CallError>
where
    T: Send + 'static,
    B: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    R: FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
{
    // From here on: to come to a turn in the interpreter takes time too.
    let until = tokio::time::Instant::now() + limit;
    let (sender, receiver) = oneshot::channel();
    let end = move |py: Python<'_>, result: PyResult<Bound<'_, PyAny>>| {
        let outcome = result.and_then(|result| read(&result));
        drop(sender.send(outcome.map_err(|error| CallError::of(py, error))));
    };
    let progress = Progress::default();
    let call = Call {
        progress: progress.clone(),
        steps: Mutex::new(Some((Box::new(begin), Box::new(end)))),
    };
    let waiting = Waiting(progress);
    let scheduled = Python::try_attach(|py| event_loops.call_soon(py, call));
    if scheduled.flatten().is_none() {
        return Err(CallError::NoLoop);
    }
    let outcome = tokio::time::timeout_at(until, receiver).await;
    let has_begun = waiting.0.has_begun();
    drop(waiting);
    match outcome {
        Ok(Ok(outcome)) => outcome,
        // The loop has ended.
        Ok(Err(_)) => Err(CallError::NoLoop),
        Err(_) if has_begun => Err(CallError::TooSlow),
        Err(_) => Err(CallError::NotBegun),
    }
}

/// Somebody waits for a call. Dropped when nobody does any more, it cancels the task.
struct Waiting(Progress);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(task) = self.0.end() {
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
    progress: Progress,
    steps: Mutex<Option<(Begin, End)>>,
}

#[pymethods]
impl Call {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some((begin, end)) = take(&self.steps).filter(|_| !self.progress.is_over()) else {
            return Ok(());
        };
        let awaited = begin(py).and_then(|awaitable| {
            let asyncio = py.import("asyncio")?;
            asyncio.call_method1("ensure_future", (awaitable,))
        });
        let task = match awaited {
            Ok(task) => task,
            Err(error) => {
                end(py, Err(error));
                return Ok(());
            }
        };
        if self.progress.begin(task.clone().unbind()) {
            let finished = Finished {
                progress: self.progress.clone(),
                end: Mutex::new(Some(end)),
            };
            task.call_method1("add_done_callback", (finished,)).map(drop)
        } else {
            // Whoever waited went away while it began.
            task.call_method0("cancel").map(drop)
        }
    }
}

/// Hands the outcome of a call back.
#[pyclass(frozen)]
struct Finished {
    progress: Progress,
    end: Mutex<Option<End>>,
}

#[pymethods]
impl Finished {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        drop(self.progress.end());
        if let Some(end) = take(&self.end) {
            end(py, task.call_method0("result"));
        }
    }
}
