//! What a request costs as the number of grants grows.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::doorward;
use crate::measure::Measurement;
use crate::postgres::Cluster;
use crate::process::Process;
use crate::rounds::{Plan, progress};
use crate::scenario::Scenario;
use crate::server::Installation;
use crate::subject::{Role, Subject};

/// What is measured at each size.
const SCENARIOS: [Scenario; 4] = [
    Scenario::Refresh,
    Scenario::ClientCredentials,
    Scenario::Introspection,
    Scenario::Flow,
];
/// Connections.
pub const CONCURRENCY: usize = 16;

/// A size and what was measured at it.
pub struct Size {
    pub grants: u64,
    pub measurements: Vec<Measurement>,
}

/// One server for each size, all at once, so that their rounds can be interleaved.
pub async fn measure(
    plan: &Plan,
    program: &Path,
    log_level: &str,
    cluster: Option<&Arc<Cluster>>,
    sizes: &[u64],
) -> anyhow::Result<Vec<Size>> {
    let mut servers = Vec::new();
    for &grants in sizes {
        progress(&format!("{grants} grants"));
        servers.push((
            start(plan, program, log_level, cluster, grants).await?,
            Vec::new(),
        ));
    }
    for round in 0..=plan.rounds {
        progress(&format!("growth, round {round} of {} (0 warms up)", plan.rounds));
        for ((_, _, subject), measurements) in &mut servers {
            for scenario in SCENARIOS {
                plan.supply(subject, scenario).await?;
                let measured = plan.measure(subject, scenario, CONCURRENCY, round).await?;
                if round > 0 {
                    measurements.push(measured);
                }
            }
        }
    }
    let mut result = Vec::new();
    for (&grants, ((_installation, process, _), measurements)) in sizes.iter().zip(servers) {
        process.stop().await?;
        result.push(Size { grants, measurements });
    }
    Ok(result)
}

async fn start(
    plan: &Plan,
    program: &Path,
    log_level: &str,
    cluster: Option<&Arc<Cluster>>,
    grants: u64,
) -> anyhow::Result<(Installation, Process, Subject)> {
    let installation = Installation::new(program, log_level, cluster)?;
    let process = installation.start().await?;
    let mut subject = Subject {
        name: "growth",
        role: Role::Ours,
        world: Arc::new(doorward::set_up(&installation, 4).await?),
        process: process.id,
        database: cluster.cloned(),
    };
    plan.supply(&subject, Scenario::Refresh).await?;
    process.stop().await?;
    installation
        .grow(grants)
        .with_context(|| format!("cannot make {grants} grants"))?;
    let process = installation.start().await?;
    subject.process = process.id;
    Ok((installation, process, subject))
}
