//! Log lines: for people on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

use doorward_server::config::{LogFormat, LogLevel, Observability};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Changes what is logged.
pub struct LogFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogFilter {
    /// Logs as these settings say from now on; their format counts at the start alone.
    pub fn change(&self, settings: &Observability) {
        self.0(filter(settings));
    }
}

/// Starts logging as the settings say. `DOORWARD_LOG` (`info,doorward_server=debug`) wins over the level.
pub fn start(settings: &Observability) -> LogFilter {
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_writer(std::io::stderr);
    // A second start in one process (a test) keeps the first, and a filter that is gone cannot be changed.
    if human {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        LogFilter(Box::new(move |filter| drop(handle.reload(filter))))
    } else {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        LogFilter(Box::new(move |filter| drop(handle.reload(filter))))
    }
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
