//! What is taken over when the settings are read again while the server runs (`SIGHUP`).

use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::context::Context;
use crate::keys::configured;

/// Beside every limit of `[rate_limit]`. Each is looked up when it is needed (by a run of a job, by the end, for a connection of
/// the feed) from [`Context::read_settings`]. (The log is the program's own.)
const AT_ONCE: [&str; 5] = [
    "audit.retention",
    "events.connection_ttl",
    "observability.log_level",
    "server.shutdown_delay",
    "storage.retention",
];

/// What came of reading the settings again: their names, such as `rate_limit.token_address`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Of those that can change while the server runs, what is another value than at the reading before; and the files that
    /// new connections to the database are made with, as `storage.url.sslcert`.
    pub in_force: Vec<String>,
    /// The others whose value is not the one that the server runs with, a file with another master key in it included.
    pub at_next_start: Vec<String>,
}

impl Context {
    /// Takes over what can change while the server runs. What is another value than at the reading before is written down by
    /// its name.
    pub fn reload(&self, settings: &Settings) -> Reloaded {
        self.limits.change(&settings.rate_limit);
        self.clients.change_limits(&settings.rate_limit);
        let waits = |name: &String| !name.starts_with("rate_limit.") && !AT_ONCE.contains(&name.as_str());
        // One that was put back waits for nothing.
        let mut changed = settings.changed(&self.settings);
        changed.retain(waits);
        let read_before = self.read_settings.swap(Arc::new(settings.clone()));
        let mut news = settings.changed(&read_before);
        let (mut now, later): (Vec<_>, Vec<_>) = news.iter().cloned().partition(|name| !waits(name));
        if now.iter().any(|name| name.ends_with(".retention")) {
            self.retention_changed.notify_one();
        }
        let files = self.read_files_again();
        now.extend_from_slice(&files);
        news.extend(files);
        if !news.is_empty() {
            let at_next_start: Vec<_> = later.into_iter().filter(|name| changed.contains(name)).collect();
            self.audit.reloaded(&news, &at_next_start);
        }
        for name in configured::replaced_files(&self.settings, self.keys.master(), self.random.as_ref()) {
            if !changed.iter().any(|other| other == name) {
                changed.push(name.to_owned());
            }
        }
        Reloaded {
            in_force: now,
            at_next_start: changed,
        }
    }

    /// Those of the URL that the server was started with; the settings may name another one by now.
    fn read_files_again(&self) -> Vec<String> {
        match self.store.read_files_again() {
            Ok(files) => files.iter().map(|file| format!("storage.url.{file}")).collect(),
            Err(error) => {
                tracing::error!(
                    %error,
                    "a file that storage.url named at the start cannot be used; new connections to the database are made with \
                     what was read before"
                );
                Vec::new()
            }
        }
    }

    /// `server.shutdown_delay`.
    pub fn shutdown_delay(&self) -> Duration {
        self.read_settings.load().server.shutdown_delay.duration()
    }

    /// `events.connection_ttl`.
    pub(crate) fn feed_connection_ttl(&self) -> Duration {
        self.read_settings.load().events.connection_ttl.duration()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_at_once_is_a_setting_and_in_the_book() {
        let page = Settings::reference_markdown();
        for name in AT_ONCE {
            assert!(
                Settings::registry().iter().any(|key| key.path() == name),
                "{name}"
            );
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
