//! Panics as lines of the log: in its format, and without waiting for whoever does not read it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::Level;

use super::lines::is_writer;

/// Whatever panics from now on is a line of the log, instead of several of standard error; those stay for what the log does
/// not tell: where a filter keeps even errors out, and of the thread that writes it.
pub(super) fn log_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if is_writer() || !tracing::enabled!(Level::ERROR) {
            previous(panic);
        } else {
            log(panic);
        }
    }));
}

/// With the way to it where `RUST_BACKTRACE` asks for that.
fn log(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map_or_else(String::new, ToString::to_string);
    let text = panic.payload_as_str().unwrap_or("without words");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        thread = thread::current().name(),
        backtrace,
        "panicked at {at}: {text}"
    );
}

#[cfg(test)]
mod tests {
    use super::super::captured::Captured;
    use super::*;

    #[test]
    fn a_panic_is_a_line_of_the_log() {
        let here = thread::current().id();
        let previous = panic::take_hook();
        // Other tests that panic meanwhile are told of as always.
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == here {
                log(panic);
            } else {
                previous(panic);
            }
        }));
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().json().with_writer(captured.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            panic::catch_unwind(|| panic!("row {} is odd", 7)).unwrap_err();
        });
        let _ = panic::take_hook();

        let log = captured.text();
        assert_eq!(log.lines().count(), 1, "{log}");
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(line["level"], "ERROR");
        let message = line["fields"]["message"].as_str().unwrap();
        assert!(
            message.starts_with(concat!("panicked at ", file!(), ":")),
            "{message}"
        );
        assert!(message.ends_with(": row 7 is odd"), "{message}");
    }
}
