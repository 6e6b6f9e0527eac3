//! Log lines: for people on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

use doorward_server::config::{LogFormat, LogLevel, Observability};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Starts logging as the settings say. `DOORWARD_LOG` (`info,doorward_server=debug`) wins over the level.
pub fn start(settings: &Observability) {
    let level = match settings.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("DOORWARD_LOG")
        .from_env_lossy();
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start in one process (a test) keeps the first.
    let _ = if human {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
