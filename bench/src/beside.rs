//! Two things measured side by side, in processor time of the one thread, so that their ratio holds on a machine
//! whose speed drifts or that others use too.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use crate::cpu;
use crate::spread::Spread;

/// Pairs of measurements.
const PAIRS: usize = 25;
/// How long one measurement of a pair takes, about.
const SLICE: Duration = Duration::from_millis(20);

/// What one call costs, in nanoseconds of processor time, and the ratio of the two, pair by pair.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Nanoseconds of the first.
    pub ours: Spread,
    /// Nanoseconds of the second.
    pub limit: Spread,
    /// First by second.
    pub ratio: Spread,
}

/// Measures two functions in turn.
pub fn measure<A, B>(mut ours: impl FnMut() -> A, mut limit: impl FnMut() -> B) -> Beside {
    let (our_calls, limit_calls) = (calls(&mut ours), calls(&mut limit));
    let pairs: Vec<(f64, f64)> = (0..PAIRS)
        .map(|_| {
            (
                nanoseconds(&mut ours, our_calls),
                nanoseconds(&mut limit, limit_calls),
            )
        })
        .collect();
    Beside {
        ours: Spread::of(pairs.iter().map(|(ours, _)| *ours)),
        limit: Spread::of(pairs.iter().map(|(_, limit)| *limit)),
        ratio: Spread::of(pairs.iter().map(|(ours, limit)| ours / limit)),
    }
}

/// Whether the program was started to measure (`cargo bench`) and not to be tried out (`cargo test`).
pub fn is_wanted() -> bool {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    has("--bench") && !has("--test")
}

/// How many calls fill a slice.
fn calls<T>(function: &mut impl FnMut() -> T) -> u32 {
    let mut calls = 1;
    while nanoseconds(function, calls) * f64::from(calls) < SLICE.as_secs_f64() * 1e9 {
        calls *= 2;
    }
    calls
}

fn nanoseconds<T>(function: &mut impl FnMut() -> T, calls: u32) -> f64 {
    let started = cpu::of_this_thread();
    for _ in 0..calls {
        black_box(function());
    }
    cpu::of_this_thread().saturating_sub(started).as_secs_f64() * 1e9 / f64::from(calls)
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, limit) = (self.ours.median / 1e3, self.limit.median / 1e3);
        write!(f, "{ours:.2} µs beside {limit:.2} µs, ratio {:.3}", self.ratio)
    }
}
