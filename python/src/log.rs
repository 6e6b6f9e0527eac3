//! What the guard logs, for Python's `logging`: `doorward.guard.keys` is the logger of `doorward_guard::keys`. What this crate
//! tells of itself goes to such loggers as well.
//!
//! An event may happen inside a poll and under locks, where waiting for the interpreter could stop both. So it is only put
//! into a queue there, and a thread of its own hands it to Python: handlers may be slow, and nobody is to wait for them. A
//! full queue drops events and says how many.

use std::fmt::{self, Write as _};
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Events that wait for the interpreter.
const QUEUE: usize = 1024;

static STARTED: Mutex<Option<Started>> = Mutex::new(None);
static DROPPED: AtomicUsize = AtomicUsize::new(0);
/// `logging.getLogger`
static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// One event, as text.
struct Line {
    level: Level,
    logger: String,
    text: String,
    traceback: Option<String>,
}

/// Sends every event of the guard on. Called once, when the module is loaded.
pub(crate) fn install() {
    // Somebody else in this library's own copy of `tracing` is not possible.
    drop(tracing::subscriber::set_global_default(Forward));
}

/// What is never sent: the end of the thread ends the channel.
enum Never {}

/// The thread that hands events to Python.
struct Started {
    lines: SyncSender<Line>,
    has_to_end: Arc<AtomicBool>,
    ended: Receiver<Never>,
}

/// Starts the thread, beside the runtime that was just started.
pub(crate) fn start() -> io::Result<()> {
    let (sender, lines) = sync_channel(QUEUE);
    let (ending, ended) = channel();
    let has_to_end = Arc::new(AtomicBool::new(false));
    let started = Started {
        lines: sender,
        has_to_end: has_to_end.clone(),
        ended,
    };
    let deliver = move || deliver(lines, &has_to_end, ending);
    thread::Builder::new()
        .name("doorward-log".to_owned())
        .spawn(deliver)?;
    let mut current = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    // After a fork the old thread is not here.
    mem::forget(current.replace(started));
    Ok(())
}

/// Ends the thread when it has told what is in the queue, or when the time is up and it is done with the event that it tells.
pub(crate) fn shut_down(time: Duration) {
    let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(started) = started {
        // Nothing comes any more.
        drop(started.lines);
        // An error either way: the thread has dropped the other end, or the time is up.
        let _ended = started.ended.recv_timeout(time);
        started.has_to_end.store(true, Ordering::Release);
    }
}

/// Attached to the interpreter once for all lines. To attach and to leave changes the list of all its threads, and a process
/// that is forked meanwhile would have that half changed. Whoever waits for a line waits detached.
fn deliver(lines: Receiver<Line>, has_to_end: &AtomicBool, ending: Sender<Never>) {
    Python::try_attach(|py| {
        let mut lines = lines;
        // The end comes before that of the interpreter, which no thread survives that wants to be back: the last sender is
        // gone with `shut_down`.
        while let (back, Ok(line)) = py.detach(move || next(lines)) {
            if has_to_end.load(Ordering::Acquire) {
                break;
            }
            tell(py, &line);
            lines = back;
        }
    });
    drop(ending);
}

/// The next line. Only one thread may have the receiver, so it comes along.
fn next(lines: Receiver<Line>) -> (Receiver<Line>, Result<Line, RecvError>) {
    let line = lines.recv();
    (lines, line)
}

/// What `logging` itself makes of it (a handler that raises, for example) is its own affair.
fn tell(py: Python<'_>, line: &Line) {
    let told = GET.import(py, "logging", "getLogger").and_then(|get| {
        let logger = get.call1((line.logger.as_str(),))?;
        match &line.traceback {
            None => logger.call_method1("log", (number(line.level), "%s", line.text.as_str()))?,
            Some(traceback) => tell_with_traceback(&logger, line, traceback)?,
        };
        match DROPPED.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            dropped => logger
                .call_method1("log", (30, "%s more events were not logged", dropped))
                .map(drop),
        }
    });
    if let Err(error) = told {
        error.write_unraisable(py, None);
    }
}

/// Formatters put `exc_text` below the message. The exception itself does not come along: its frames hold values, and
/// collectors of errors send those on.
fn tell_with_traceback<'py>(
    logger: &Bound<'py, PyAny>,
    line: &Line,
    traceback: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, level) = (logger.py(), number(line.level));
    if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
        return Ok(py.None().into_bound(py));
    }
    let name = line.logger.as_str();
    let arguments = (line.text.as_str(),);
    let record = logger.call_method1(
        "makeRecord",
        (name, level, "doorward", 0, "%s", arguments, py.None()),
    )?;
    record.setattr("exc_text", traceback)?;
    logger.call_method1("handle", (record,))
}

/// Whether a logger takes what is for debugging.
pub(crate) fn is_debugging(py: Python<'_>, logger: &str) -> bool {
    let asked = GET.import(py, "logging", "getLogger").and_then(|get| {
        let logger = get.call1((logger,))?;
        logger
            .call_method1("isEnabledFor", (number(Level::DEBUG),))?
            .is_truthy()
    });
    asked.unwrap_or_default()
}

/// Python's number of a level.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    }
}

/// What this crate has to say itself, at any level, with a traceback below it.
pub(crate) fn tell_of(level: Level, logger: &str, text: String, traceback: Option<String>) {
    enqueue(Line {
        level,
        logger: logger.to_owned(),
        text,
        traceback,
    });
}

fn enqueue(line: Line) {
    // The lock is held for as short as can be: a fork in between would leave it locked in the child.
    let lines = STARTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .map(|started| started.lines.clone());
    let sent = lines.map(|lines| lines.try_send(line));
    if !matches!(sent, Some(Ok(()))) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Events of the guard, from `INFO` on. Spans have no counterpart in `logging`.
struct Forward;

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO && metadata.target().starts_with("doorward")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let target = metadata.target();
        enqueue(Line {
            level: *metadata.level(),
            logger: target.replacen("doorward_", "doorward.", 1).replace("::", "."),
            text: text.message + &text.fields,
            traceback: None,
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, and the fields after it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Text in memory takes whatever is written.
        let _written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
