//! Parts of a suite that have nothing to do with each other, side by side.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use crate::process::Stopwatch;
use crate::suite::Outcome;

/// A part of a suite, with files, ports and servers of its own.
pub(crate) struct Part<'p> {
    label: String,
    work: Box<dyn FnOnce() -> Result<Outcome> + Send + 'p>,
}

impl<'p> Part<'p> {
    pub(crate) fn new(label: impl Into<String>, work: impl FnOnce() -> Result<Outcome> + Send + 'p) -> Self {
        Self {
            label: label.into(),
            work: Box::new(work),
        }
    }

    /// One that cannot run, or in which nothing ran, has failed.
    fn run(self) -> Outcome {
        let watch = Stopwatch::start();
        let outcome = match catch_unwind(AssertUnwindSafe(self.work)) {
            Ok(Ok(outcome)) if outcome.is_silent() => {
                Outcome::failure(format!("{}: nothing ran", self.label))
            }
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::failure(format!("{}: {error:#}", self.label)),
            Err(_) => Outcome::failure(format!("{}: panicked, see above", self.label)),
        };
        eprintln!(
            "  {}: {} ({:.0} s)",
            self.label,
            outcome.counts(),
            watch.elapsed().as_secs_f32()
        );
        outcome
    }
}

/// Runs them so many at a time, and begins in their order. What they found is told in that order, too.
pub(crate) fn run(width: usize, parts: Vec<Part<'_>>) -> Outcome {
    let mut found: Vec<Option<Outcome>> = parts.iter().map(|_| None).collect();
    let queue = Mutex::new(parts.into_iter().zip(&mut found));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                while let Some((part, found)) = next() {
                    *found = Some(part.run());
                }
            });
        }
    });
    drop(queue);
    let mut outcome = Outcome::default();
    for found in found.into_iter().flatten() {
        outcome.add(found);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use anyhow::bail;

    use super::{Part, run};
    use crate::suite::Outcome;

    fn passed() -> Outcome {
        Outcome {
            passed: 1,
            ..Outcome::default()
        }
    }

    #[test]
    fn what_failed_is_told_in_the_order_of_the_parts() {
        let (second_ended, wait_for_second) = channel();
        let parts = vec![
            Part::new("first", move || {
                wait_for_second.recv()?;
                bail!("no server")
            }),
            Part::new("second", move || {
                second_ended.send(())?;
                Ok(Outcome::failure("second: a step"))
            }),
            Part::new("third", || Ok(passed())),
        ];
        let outcome = run(2, parts);
        assert_eq!(outcome.failures, ["first: no server", "second: a step"]);
        assert_eq!(outcome.passed, 1);
    }

    #[test]
    fn a_part_that_panics_or_runs_nothing_has_failed_and_the_others_go_on() {
        let parts = vec![
            Part::new("first", || panic!("no database")),
            Part::new("second", || Ok(Outcome::default())),
            Part::new("third", || Ok(passed())),
        ];
        let outcome = run(1, parts);
        assert_eq!(
            outcome.failures,
            ["first: panicked, see above", "second: nothing ran"]
        );
        assert_eq!(outcome.passed, 1);
    }

    #[test]
    fn every_part_runs_though_fewer_run_at_a_time() {
        let parts = (0..9).map(|number| Part::new(number.to_string(), || Ok(passed())));
        assert_eq!(run(2, parts.collect()).passed, 9);
    }
}
