//! The master key is changed on several nodes while everybody works, as the book says. Nothing may fail.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::rolling::{nodes_of, replace_all};
use super::{Plan, without_trouble};
use crate::ledger::Tally;
use crate::node::Node;
use crate::site::{MASTER_KEY, Site, secret};

const OTHER_MASTER_KEY: &str = "DOORWARD_KEYS_OTHER_MASTER_KEY";
const COMMAND: [&str; 2] = ["keys", "rotate-master"];
/// Longer than the command takes to the place where it is held up, and shorter than it waits there.
const HELD_UP: Duration = Duration::from_secs(8);

/// What the command said.
#[derive(Debug, PartialEq, Eq)]
struct Resealed {
    seen: usize,
    changed: usize,
}

impl Resealed {
    fn of(said: &str) -> Option<Self> {
        let (_, numbers) = said.split_once("now: ")?;
        let (changed, rest) = numbers.split_once(" of ")?;
        let (seen, _) = rest.split_once(' ')?;
        Some(Self {
            seen: seen.parse().ok()?,
            changed: changed.parse().ok()?,
        })
    }
}

pub(super) async fn change(mut plan: Plan) -> anyhow::Result<Tally> {
    let program = plan.program.clone();
    let (mut site, load) = nodes_of(&plan, &program).await?;
    let (old, new) = (site.value(MASTER_KEY)?, secret()?);
    let rotate = load.shared.world.admin();
    rotate.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
    // Every node reads what either key sealed.
    let read_both = |node: &mut Node| node.set(OTHER_MASTER_KEY, &new);
    replace_all(&mut plan, &mut site, &load, read_both).await?;
    let swap = |node: &mut Node| {
        node.set(MASTER_KEY, &new);
        node.set(OTHER_MASTER_KEY, &old);
    };
    // Before the nodes that are started next do it themselves.
    let mut machine = site.prepare();
    swap(&mut machine);
    die_in_the_middle(&mut site, &machine).await?;
    let rest = reseal(&machine)?;
    ensure!(
        0 < rest.changed && rest.changed < rest.seen,
        "after half of it the command did {} of {}",
        rest.changed,
        rest.seen
    );
    replace_all(&mut plan, &mut site, &load, swap).await?;
    let rest = reseal(&machine)?;
    ensure!(rest.changed == 0, "{} were still under the old key", rest.changed);
    replace_all(&mut plan, &mut site, &load, |node| node.unset(OTHER_MASTER_KEY)).await?;
    without_trouble(load, &site).await
}

/// The command, killed when it has sealed the signing keys anew and not yet the secrets: a lock keeps it from them.
async fn die_in_the_middle(site: &mut Site, machine: &Node) -> anyhow::Result<()> {
    let mut operator = site.database()?.connect().await?;
    let before = ciphertexts(&operator).await?;
    let lock = operator.transaction().await?;
    lock.batch_execute("LOCK TABLE server_secret IN SHARE MODE")
        .await?;
    let mut command = machine.command(&COMMAND).stdout(Stdio::null()).spawn()?;
    let watching = site.database()?.connect().await?;
    let began = Instant::now();
    loop {
        let now = ciphertexts(&watching).await?;
        if now.iter().all(|sealed| !before.contains(sealed)) {
            break;
        }
        if let Some(status) = command.try_wait()? {
            bail!("the command ended with {status} before its middle");
        }
        ensure!(began.elapsed() < HELD_UP, "the command does nothing");
        sleep(Duration::from_millis(10)).await;
    }
    command.kill()?;
    let status = command.wait()?;
    ensure!(!status.success(), "the command had come to its end");
    Ok(lock.rollback().await?)
}

/// The signing keys as they are sealed.
async fn ciphertexts(operator: &Client) -> anyhow::Result<Vec<Vec<u8>>> {
    let rows = operator.query("SELECT sealed_private_key FROM signing_key", &[]);
    Ok(rows.await?.iter().map(|row| row.get(0)).collect())
}

/// The command, to its end.
fn reseal(machine: &Node) -> anyhow::Result<Resealed> {
    let output = machine.command(&COMMAND).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let told = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the command failed: {}", told());
    Resealed::of(&said).with_context(told)
}

#[cfg(test)]
mod tests {
    use super::Resealed;

    #[test]
    fn the_numbers_are_read_from_what_the_command_says() {
        let said = "Everything is sealed under the master key now: 2 of 5 were sealed anew.\nRestart";
        assert_eq!(Resealed::of(said), Some(Resealed { seen: 5, changed: 2 }));
        assert_eq!(Resealed::of("Nothing was done."), None);
    }
}
