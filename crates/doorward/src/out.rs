//! What a person at the terminal reads. Everything else is a log line.

use std::io::Write as _;

/// One line on standard output. A closed pipe is not an error: the reader has seen enough.
pub fn line(text: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
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
