//! A long mixed load, after which memory and open files are as they were.

use std::time::Duration;

use anyhow::ensure;
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::load::{Load, Rules};
use crate::node::Holds;
use crate::scenarios::{Plan, without_trouble};
use crate::site::{Engine, Site};
use crate::world::Admin;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How often signing keys rotate.
const ROTATE: u32 = 66;
/// What memory may grow by in an hour once everything has warmed up, in MiB: what an allocator holds back now and then.
const GROWTH: f64 = 8.0;
/// A few minutes are no hour: noise of a megabyte would be a slope of dozens.
const JUDGED_FROM: Duration = Duration::from_mins(30);
/// What open files may differ by: connections come and go.
const FILES: u64 = 64;

/// One look.
struct Look {
    at: Duration,
    holds: Holds,
}

/// Runs it.
pub async fn run(plan: Plan, engine: Engine, time: Duration) -> anyhow::Result<()> {
    let mut site = Site::new(&plan.program, engine)?;
    site.set("DOORWARD_KEYS_PUBLISH_AHEAD", "10m");
    let nodes = if engine == Engine::Postgres { 2 } else { 1 };
    site.add_nodes(nodes).await?;
    println!(
        "soak on {}, seed {}, {} minutes",
        engine.name(),
        plan.seed,
        time.as_secs() / 60
    );
    let rules = Rules {
        kept: 400,
        ..Rules::every_grant()
    };
    let load = plan.load(&site, 16, rules).await?;
    let began = Instant::now();
    let mut looks: Vec<Vec<Look>> = (0..nodes).map(|_| Vec::new()).collect();
    let mut number = 0;
    while began.elapsed() < time {
        sleep(LOOK).await;
        number += 1;
        if number % ROTATE == 0 {
            let admin = Admin::of(&site, 0)?;
            admin.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
        }
        look(&mut site, &mut looks, began.elapsed())?;
        if number % 6 == 0 {
            tell(&load, &looks, began.elapsed());
        }
    }
    let tally = without_trouble(load, &site).await?;
    println!("{tally:?}");
    for (node, looks) in looks.iter().enumerate() {
        judge(node, looks, time)?;
    }
    println!("{}: 1 passed, 0 failed", verdict(time));
    Ok(())
}

/// What a run of this length shows.
fn verdict(time: Duration) -> &'static str {
    if time < JUDGED_FROM {
        "memory not judged"
    } else {
        "flat"
    }
}

fn look(site: &mut Site, looks: &mut [Vec<Look>], at: Duration) -> anyhow::Result<()> {
    for (node, looks) in site.nodes.iter_mut().zip(looks) {
        let holds = node.holds()?;
        looks.push(Look { at, holds });
    }
    Ok(())
}

fn tell(load: &Load, looks: &[Vec<Look>], at: Duration) {
    let holds: Vec<_> = looks
        .iter()
        .filter_map(|looks| looks.last())
        .map(|look| {
            format!(
                "{:.1} MiB, {} files",
                mebibytes(look.holds.memory),
                look.holds.files
            )
        })
        .collect();
    println!(
        "{:4.0} s  {} requests, {} flows; {}",
        at.as_secs_f64(),
        load.answered(),
        load.flows(),
        holds.join("; ")
    );
}

/// The slope of a straight line through the last two thirds.
fn judge(node: usize, looks: &[Look], time: Duration) -> anyhow::Result<()> {
    let warm: Vec<_> = looks.iter().filter(|look| look.at > time / 3).collect();
    let points: Vec<_> = warm
        .iter()
        .map(|look| (look.at.as_secs_f64() / 3600.0, mebibytes(look.holds.memory)))
        .collect();
    let growth = slope(&points);
    let files = warm.iter().map(|look| look.holds.files);
    let (least, most) = (
        files.clone().min().unwrap_or_default(),
        files.max().unwrap_or_default(),
    );
    println!("node {node}: {growth:+.2} MiB an hour, {least} to {most} files");
    if time >= JUDGED_FROM {
        ensure!(
            growth < GROWTH,
            "memory of node {node} grows by {growth:.1} MiB an hour"
        );
    }
    ensure!(
        most - least <= FILES,
        "open files of node {node}: {least} to {most}"
    );
    Ok(())
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let number = points.iter().fold(0.0, |number, _| number + 1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

fn mebibytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{slope, verdict};

    #[test]
    fn a_few_minutes_say_nothing_of_memory() {
        assert_eq!(verdict(Duration::from_mins(29)), "memory not judged");
        assert_eq!(verdict(Duration::from_mins(30)), "flat");
    }

    #[test]
    fn growth_is_told_from_noise() {
        let growing: Vec<_> = (0..10).map(|at| (f64::from(at), f64::from(3 * at))).collect();
        assert!((slope(&growing) - 3.0).abs() < 1e-9);
        let flat: Vec<_> = (0..10).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        assert!(slope(&flat).abs() < 0.1);
    }
}
