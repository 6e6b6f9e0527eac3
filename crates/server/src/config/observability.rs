//! `[observability]`

use super::choice::choice;
use super::section::section;

section! {
    /// Logs.
    pub struct Observability in "observability" {
        /// `auto` is `human` on a terminal and `json` elsewhere.
        log_format: LogFormat = LogFormat::Auto,
        /// The least severity that is logged of what Doorward itself does; libraries tell no more than `info`.
        log_level: LogLevel = LogLevel::Info,
    }
}

choice! {
    /// The shape of the log.
    pub enum LogFormat as "`auto`, `human` or `json`" {
        /// Human on a terminal, JSON elsewhere.
        Auto = "auto",
        /// Lines for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// Severities.
    pub enum LogLevel as "`error`, `warn`, `info`, `debug` or `trace`" {
        /// Something is broken.
        Error = "error",
        /// Something needs a look.
        Warn = "warn",
        /// What happens, one line a request.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
