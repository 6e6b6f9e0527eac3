//! Functions of the program that fail, told as the guard tells an outage: when it begins, once a minute, and when it is over.

use std::fmt::Display;

use doorward_guard::oauth::time::Outage;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::time::Instant;
use tracing::Level;

use crate::log;

/// Which texts of exceptions the log may have. Kinds, files and lines it has in any case.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// The function is given no secret.
    All,
    /// Those of mistakes of the program, without this secret.
    OfMistakes { without: &'a str },
    /// What was sent may be in them.
    None,
}

/// One function of the program, as the log knows it.
pub(crate) struct Failures {
    logger: &'static str,
    level: Level,
    fails: &'static str,
    works: &'static str,
    outage: Outage,
}

impl Failures {
    /// `fails` and `works` are the messages of a failure and of the end of failures.
    pub(crate) fn new(logger: &'static str, level: Level, fails: &'static str, works: &'static str) -> Self {
        Self {
            logger,
            level,
            fails,
            works,
            outage: Outage::default(),
        }
    }

    /// It failed. What is not told now has its line at debug.
    pub(crate) fn failed(&self, fault: impl Display, raised: Option<&PyErr>, texts: Texts<'_>) {
        let failures = self.outage.failed(Instant::now().into_std());
        Python::try_attach(|py| {
            let (level, failures) = match failures {
                Some(failures) => (self.level, format!(" failures={failures}")),
                None if log::is_debugging(py, self.logger) => (Level::DEBUG, String::new()),
                None => return,
            };
            let text = format!("{} error={fault}{failures}", self.fails);
            let traceback = raised.and_then(|error| traceback(py, error, texts));
            log::tell_of(level, self.logger, text, traceback);
        });
    }

    /// It did not fail.
    pub(crate) fn worked(&self) {
        if !self.outage.fails() {
            return;
        }
        if let Some(failed) = self.outage.worked(Instant::now().into_std()) {
            let text = format!("{} seconds={}", self.works, failed.as_secs());
            log::tell_of(Level::INFO, self.logger, text, None);
        }
    }
}

/// Made at once and as text: frames hold values, a token among them, and would keep them.
fn traceback(py: Python<'_>, error: &PyErr, texts: Texts<'_>) -> Option<String> {
    static TRACEBACK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (texts, secret) = match texts {
        Texts::All => ("all", ""),
        Texts::OfMistakes { without } => ("of mistakes", without),
        Texts::None => ("none", ""),
    };
    let told = TRACEBACK
        .import(py, "doorward._failures", "traceback_of")
        .and_then(|traceback| {
            // Before 3.12 an exception that was raised into Rust does not know its own yet.
            let arguments = (error.value(py), error.traceback(py), texts, secret);
            traceback.call1(arguments)?.extract()
        });
    told.ok()
}
