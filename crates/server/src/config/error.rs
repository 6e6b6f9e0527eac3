//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// Why the settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}{fix}: {source}", path = path.display(), fix = fix(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings do not make sense; every problem found.
    #[error("the configuration is refused:\n{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// One thing to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a file with line and column, an environment variable, or a key.
    pub place: String,
    /// What is wrong and what to change.
    pub message: String,
    /// The line of the file, with a caret under the fault.
    pub excerpt: Option<String>,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            excerpt: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(formatter, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

fn fix(unreadable: &std::io::Error) -> &'static str {
    match unreadable.kind() {
        std::io::ErrorKind::NotFound => " (name the file with --config, or write one with `doorward init`)",
        _ => "",
    }
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
