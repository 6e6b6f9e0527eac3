//! The figures as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// What every check is held against.
const RAW: &str = "raw ES256";

/// `figures` are nanoseconds by name, one a round; `calls` is what the program `calls` prints.
pub(super) fn render(figures: &BTreeMap<String, Vec<f64>>, calls: &Value) -> Result<String> {
    let raw = median(figures.get(RAW).context("no figure of the bare signature")?);
    let mut rows: Vec<(&String, f64, f64, f64)> = figures
        .iter()
        .map(|(name, values)| {
            let edge = |pick: fn(f64, f64) -> f64, start| values.iter().copied().fold(start, pick);
            (
                name,
                median(values),
                edge(f64::min, f64::INFINITY),
                edge(f64::max, 0.0),
            )
        })
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut text = format!("| check | µs (min–max) | of {RAW} |\n|---|--:|--:|\n");
    for (name, nanoseconds, least, most) in rows {
        let (own, least, most) = (nanoseconds / 1e3, least / 1e3, most / 1e3);
        let ratio = nanoseconds / raw;
        writeln!(text, "| {name} | {own:.2} ({least:.2}–{most:.2}) | {ratio:.3} |")?;
    }
    text.push_str("\n| server | calls a CPU second (min–max) | of the open server |\n|---|--:|--:|\n");
    for row in calls.as_array().context("no figures of tool calls")? {
        let name = row["server"].as_str().unwrap_or_default();
        let rate = |member: &str| row["calls_per_cpu_second"][member].as_f64().unwrap_or_default();
        let ratio = row["ratio"]["median"].as_f64().unwrap_or_default();
        writeln!(
            text,
            "| {name} | {:.0} ({:.0}–{:.0}) | {ratio:.3} |",
            rate("median"),
            rate("min"),
            rate("max")
        )?;
    }
    Ok(text)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
