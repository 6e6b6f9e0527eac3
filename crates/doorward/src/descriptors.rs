//! How many files and sockets the process may have open, and what that leaves for connections.

use doorward_server::config::Settings;
use doorward_server::http::serve::ServeLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the files of the database, what is fetched (64 at a time, and connections that are kept for the next time), names
/// that are looked up, and logs.
const OTHERS: usize = 512;

/// A few connections there are always.
const LEAST: usize = 4;

/// The connections of operators and whatever watches the server. They are few.
const OF_ADMIN: usize = 1024;

/// The most connections of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    pub public: usize,
    pub admin: usize,
}

impl Connections {
    /// As many as a process needs no higher limit for.
    fn usual() -> Self {
        Self {
            public: ServeLimits::default().connections,
            admin: OF_ADMIN,
        }
    }

    /// As many as fit into so many open files, of which others need some.
    fn within(files: usize, others: usize) -> Self {
        let usual = Self::usual();
        let free = files - others.min(files / 4 * 3);
        let share = usual.admin.saturating_mul(free) / (usual.admin + usual.public);
        let admin = share.clamp(LEAST, usual.admin);
        Self {
            public: free.saturating_sub(admin).clamp(LEAST, usual.public),
            admin,
        }
    }

    /// As many as this process can hold, whose limit of open files is raised as far as needed and allowed.
    pub fn of_process(settings: &Settings) -> Self {
        let others = OTHERS + usize::try_from(settings.storage.connections).unwrap_or(usize::MAX / 2);
        let usual = Self::usual();
        let files = raise_to(usual.public + usual.admin + others);
        let connections = Self::within(files, others);
        if connections != usual {
            tracing::warn!(
                open_files = files,
                connections = connections.public,
                "this process may open few files and holds fewer connections than usual ({}); raise the limit (ulimit -n, LimitNOFILE)",
                usual.public,
            );
        }
        connections
    }
}

/// Raises the limit of open files to what is needed, or as far as the process may; returns what it is then.
fn raise_to(needed: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    let current = limit.current.unwrap_or(u64::MAX);
    let wanted = needed.min(limit.maximum.unwrap_or(u64::MAX));
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    let files = if current >= wanted || setrlimit(Resource::Nofile, raised).is_err() {
        current
    } else {
        wanted
    };
    usize::try_from(files).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_open_files_are_enough_for_the_usual_connections() {
        assert_eq!(Connections::within(8192 + 1024 + 528, 528), Connections::usual());
        assert_eq!(Connections::within(usize::MAX, 528), Connections::usual());
    }

    #[test]
    fn few_open_files_leave_room_for_the_database_and_some_connections() {
        for (files, public, admin) in [(1024, 441, 55), (256, 57, 7), (64, 12, 4), (0, 4, 4)] {
            assert_eq!(
                Connections::within(files, 528),
                Connections { public, admin },
                "{files}"
            );
        }
    }
}
