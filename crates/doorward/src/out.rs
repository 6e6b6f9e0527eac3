//! What a person at the terminal reads. Everything else is a log line.

use std::io::Write as _;

/// One line on standard output. A closed pipe is not an error: the reader has seen enough.
pub fn line(text: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Why a command failed, with its causes, on standard error.
pub fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
