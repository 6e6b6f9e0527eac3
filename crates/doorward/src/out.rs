//! What a person at the terminal reads. Everything else is a log line.

use std::io::{self, ErrorKind, Write as _};
use std::mem;
use std::sync::{Mutex, PoisonError};

/// Why standard output took a line no more, the first time, as long as nobody was told.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// One line on standard output, at once: a reader has it whole, or not at all. That it could not be written is remembered, and
/// told by [`written`] at the end.
pub fn line(text: impl std::fmt::Display) {
    let text = format!("{text}\n");
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        with_lost(|lost| {
            lost.get_or_insert(error);
        });
    }
}

/// Whether a line was lost: nobody reads on, or there is no room. There is no use in more of them.
pub fn is_lost() -> bool {
    with_lost(|lost| lost.is_some())
}

/// Why a line was lost, for whom it matters that it was read. Nobody else is told then.
pub fn lost() -> Option<io::Error> {
    with_lost(mem::take)
}

/// Whether everything was written. A closed pipe is not an error: the reader has seen enough.
pub fn written() -> anyhow::Result<()> {
    match lost() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => anyhow::bail!(
            "the answer could not be written ({error}); what the command had to change is changed"
        ),
        _ => Ok(()),
    }
}

fn with_lost<T>(what: impl FnOnce(&mut Option<io::Error>) -> T) -> T {
    what(&mut LOST.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Something that the reader should know, on standard error.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "note: {text}");
}

/// Why a command failed, with its causes, on standard error.
pub fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", with_causes(error));
}

/// What a program reads of why a command failed, on standard error.
pub fn complaint(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The error and its causes. Many errors name their cause themselves; nothing is said twice.
pub fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.as_str() {
            "" => cause,
            before if before.ends_with(&cause) => said,
            before => format!("{before}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be read: {0}")]
    struct NamesItsCause(#[source] std::io::Error);

    #[test]
    fn a_cause_is_said_once() {
        let cause = || std::io::Error::other("no such file");
        let own = anyhow::Error::new(NamesItsCause(cause())).context("nothing was done");
        assert_eq!(
            with_causes(&own),
            "nothing was done: the file cannot be read: no such file"
        );
        let added = anyhow::Error::new(cause()).context("the port is taken");
        assert_eq!(with_causes(&added), "the port is taken: no such file");
    }
}
