//! A running server with everything that is needed to measure it.

use std::sync::Arc;
use std::time::Duration;

use doorward_bench::cpu;

use crate::postgres::Cluster;
use crate::scenario::Scenario;
use crate::world::World;

/// What a server is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The least that HTTP costs.
    Floor,
    /// Doorward.
    Ours,
    /// Another authorization server.
    Peer,
}

/// A server under load.
#[derive(Clone)]
pub struct Subject {
    pub name: &'static str,
    pub role: Role,
    pub world: Arc<World>,
    /// The root of its tree of processes.
    pub process: u32,
    /// Its database, where that is a server too.
    pub database: Option<Arc<Cluster>>,
}

/// Processor time, so far.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub server: Duration,
    pub database: Option<Duration>,
    pub client: Duration,
}

impl Subject {
    /// What has been used until now.
    pub fn used(&self) -> anyhow::Result<Used> {
        let database = self.database.as_ref().map(|cluster| cluster.cpu());
        Ok(Used {
            server: cpu::of_tree(self.process)?,
            database: database.transpose()?,
            client: cpu::of_this_thread(),
        })
    }

    /// What of these it offers.
    pub fn scenarios(&self, wanted: &[Scenario]) -> Vec<Scenario> {
        let offered = |scenario: &&Scenario| scenario.is_offered(&self.world);
        wanted.iter().filter(offered).copied().collect()
    }
}

impl Used {
    /// What has been used since then.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            database: self
                .database
                .zip(earlier.database)
                .map(|(now, then)| now.saturating_sub(then)),
            client: self.client.saturating_sub(earlier.client),
        }
    }
}
