//! Percentiles of one run.

use std::time::Duration;

/// How long requests took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    /// Of these, in any order. Zero when there are none.
    pub fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |percent| percentile(&latencies, percent).as_secs_f64() * 1e3;
        Self {
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

/// The smallest one that this part of all does not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latency = Latency::of((1..=200).rev().map(Duration::from_millis).collect());
        let expected = Latency {
            p50: 100.0,
            p90: 180.0,
            p99: 198.0,
            max: 200.0,
        };
        assert_eq!(latency, expected);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
        let one = Latency::of(vec![Duration::from_millis(3)]);
        assert_eq!((one.p50, one.p99, one.max), (3.0, 3.0, 3.0));
    }
}
