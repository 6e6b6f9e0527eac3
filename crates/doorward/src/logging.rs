//! Log lines: for people on a terminal, JSON otherwise.

#[cfg(test)]
#[path = "../../server/src/captured.rs"]
mod captured;
mod json;
mod lines;
mod panics;

use std::io::{self, IsTerminal as _};

use doorward_server::config::{LogFormat, LogLevel, Observability};
use doorward_server::http::metrics::Metrics;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::json::JsonLines;
use self::lines::Lines;
use self::panics::log_panics;

/// The log. When it is dropped, every line that waits is written, and no further one waits.
pub struct Log {
    lines: Lines,
    reload: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Log {
    /// Logs as these settings say from now on; their format counts at the start alone.
    pub fn change(&self, settings: &Observability) {
        (self.reload)(filter(settings));
    }

    /// Counts lines that are dropped here.
    pub fn count_in(&self, metrics: Metrics) {
        self.lines
            .count_dropped(move |lines| metrics.log_lines_dropped(lines));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.close();
    }
}

/// Starts logging as the settings say. `DOORWARD_LOG` (`info,doorward_server=debug`) wins over the level. Neither lets
/// anything out that is not [`may_be_logged`].
pub fn start(settings: &Observability) -> io::Result<Log> {
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = Lines::new(io::stderr(), |lines| {
        tracing::warn!(lines, "these log lines were dropped, as nobody read the log");
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_writer(lines.clone());
    // A second start in one process (a test) keeps the first, and a filter that is gone cannot be changed.
    let reload: Box<dyn Fn(EnvFilter) + Send + Sync> = if human {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.finish().with(filter_fn(may_be_logged)).try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    } else {
        let builder = builder
            .json()
            .event_format(JsonLines::new())
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.finish().with(filter_fn(may_be_logged)).try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    };
    log_panics();
    Ok(Log { lines, reload })
}

/// What the crates of others tell of their innermost is not for a log: the driver of PostgreSQL tells every value that it
/// sends, hashes of passwords and e-mail addresses among them.
fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= LevelFilter::INFO || line.target().starts_with("doorward")
}

fn filter(settings: &Observability) -> EnvFilter {
    let level = match settings.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("DOORWARD_LOG")
        .from_env_lossy()
}

#[cfg(test)]
mod tests {
    use super::captured::Captured;
    use super::*;

    fn everybody_speaks() {
        tracing::trace!(target: "doorward_store::postgres", "own");
        tracing::trace!(target: "doorward::request", "own");
        tracing::debug!(target: "tokio_postgres::query", "canary");
        tracing::trace!(target: "h2::codec", "canary");
        tracing::trace!("own");
        tracing::info!(target: "rustls", "others");
        tracing::warn!(target: "tokio_postgres", "others");
    }

    /// Also when the filter was changed while it was in use.
    #[test]
    fn no_directive_lets_others_tell_of_their_innermost() {
        for directives in [
            "trace",
            "debug",
            "tokio_postgres=trace,h2=trace,doorward=trace,info,doorward_store=trace",
        ] {
            let captured = Captured::default();
            let builder = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new("error"))
                .with_writer(captured.clone())
                .with_filter_reloading();
            let handle = builder.reload_handle();
            let subscriber = builder.finish().with(filter_fn(may_be_logged));
            tracing::subscriber::with_default(subscriber, || {
                everybody_speaks();
                handle.reload(EnvFilter::new(directives)).unwrap();
                everybody_speaks();
            });
            let log = captured.text();
            assert!(!log.contains("canary"), "{directives}: {log}");
            assert_eq!(log.matches("others").count(), 2, "{directives}: {log}");
            let own = if directives == "debug" { 0 } else { 3 };
            assert_eq!(log.matches("own\n").count(), own, "{directives}: {log}");
        }
    }
}
