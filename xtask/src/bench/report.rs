//! The figures as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// The figures of one round: nanoseconds by name.
pub(super) type Round = BTreeMap<String, f64>;

/// The bare signature of one token, again and again, as the Rust libraries check it here.
const ONE_TOKEN: &str = "raw ES256";
/// The bare signatures of many tokens, as the libraries of other languages check them here.
const MANY_TOKENS: &str = "raw ES256, tokens never seen";
/// The bare signatures of the tokens that come with a proof.
const BOUND_TOKENS: &str = "raw ES256, the tokens of the pairs";

/// Every check beside the bare signature that was measured in the same way, round by round.
pub(super) fn checks(rounds: &[Round]) -> Result<String> {
    let first = rounds.first().context("no round was measured")?;
    let mut rows = Vec::new();
    for name in first.keys() {
        let own = Spread::of(rounds.iter().filter_map(|round| round.get(name)).copied());
        let limit = limit(name);
        let ratio = Spread::of(
            rounds
                .iter()
                .filter_map(|round| Some(round.get(name)? / round.get(limit)?)),
        );
        rows.push((own, name, limit, ratio));
    }
    rows.sort_by(|one, other| one.0.median.total_cmp(&other.0.median));
    let mut text = "| check | µs (min–max) | beside | ratio (min–max) |\n|---|--:|---|--:|\n".to_owned();
    for (own, name, limit, ratio) in rows {
        writeln!(
            text,
            "| {name} | {} | {limit} | {} |",
            own.by(1e-3).shown(2),
            ratio.shown(3)
        )?;
    }
    Ok(text)
}

fn limit(check: &str) -> &'static str {
    if check.contains("EdDSA") {
        "raw EdDSA"
    } else if check.contains("RS256") {
        "raw RS256"
    } else if check == BOUND_TOKENS || check == "guard ES256, token and proof" {
        BOUND_TOKENS
    } else if check == ONE_TOKEN || check.contains("ES256") && check != MANY_TOKENS {
        ONE_TOKEN
    } else {
        MANY_TOKENS
    }
}

/// `calls` is what the program `calls` prints.
pub(super) fn calls(calls: &Value) -> Result<String> {
    let mut text =
        "| server | CPU µs a call | calls a CPU second (min–max) | of the open server (min–max) |\n\
         |---|--:|--:|--:|\n"
            .to_owned();
    for row in calls.as_array().context("no figures of tool calls")? {
        let name = row["server"].as_str().unwrap_or_default();
        let rate = Spread::read(&row["calls_per_cpu_second"]);
        let ratio = Spread::read(&row["ratio"]);
        writeln!(
            text,
            "| {name} | {:.1} | {} | {} |",
            1e6 / rate.median,
            rate.shown(0),
            ratio.shown(3)
        )?;
    }
    Ok(text)
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Default)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(sorted.len() / 2),
            min: at(0),
            max: at(sorted.len().saturating_sub(1)),
        }
    }

    fn read(spread: &Value) -> Self {
        let member = |name: &str| spread[name].as_f64().unwrap_or(f64::NAN);
        Self {
            median: member("median"),
            min: member("min"),
            max: member("max"),
        }
    }

    fn by(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            min: self.min * factor,
            max: self.max * factor,
        }
    }

    fn shown(self, decimals: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_stands_beside_the_signature_that_was_measured_as_it_was() {
        for (check, beside) in [
            ("guard ES256", ONE_TOKEN),
            ("jsonwebtoken ES256", ONE_TOKEN),
            ("guard EdDSA, seen before", "raw EdDSA"),
            ("guard RS256", "raw RS256"),
            ("guard ES256, token and proof", BOUND_TOKENS),
            ("FastMCP JWTVerifier", MANY_TOKENS),
            (MANY_TOKENS, MANY_TOKENS),
            (BOUND_TOKENS, BOUND_TOKENS),
        ] {
            assert_eq!(limit(check), beside, "{check}");
        }
    }

    #[test]
    fn ratios_are_of_one_round() {
        let round = |raw, own| Round::from([(ONE_TOKEN.to_owned(), raw), ("guard ES256".to_owned(), own)]);
        let text = checks(&[round(100.0, 200.0), round(1000.0, 2000.0), round(10.0, 30.0)]).unwrap();
        assert!(
            text.contains("| guard ES256 | 0.20 (0.03–2.00) | raw ES256 | 2.000 (2.000–3.000) |"),
            "{text}"
        );
    }
}
