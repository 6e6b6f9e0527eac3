//! Log lines: for people on a terminal, JSON otherwise.

mod json;
mod lines;

use std::io::{IsTerminal as _, Stderr};

use doorward_server::config::{LogFormat, LogLevel, Observability};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use self::json::JsonLines;
use self::lines::Lines;

/// The log. When it is dropped, every line that waits is written, and no further one waits.
pub struct Log {
    lines: Lines<Stderr>,
    reload: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Log {
    /// Logs as these settings say from now on; their format counts at the start alone.
    pub fn change(&self, settings: &Observability) {
        (self.reload)(filter(settings));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.close();
    }
}

/// Starts logging as the settings say. `DOORWARD_LOG` (`info,doorward_server=debug`) wins over the level.
pub fn start(settings: &Observability) -> Log {
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines = Lines::new(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_writer(lines.clone());
    // A second start in one process (a test) keeps the first, and a filter that is gone cannot be changed.
    let reload: Box<dyn Fn(EnvFilter) + Send + Sync> = if human {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    } else {
        let builder = builder
            .json()
            .event_format(JsonLines::new())
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    };
    Log { lines, reload }
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
