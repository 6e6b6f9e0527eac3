//! Refresh rotation against a model that remembers everything, under any order of tokens and clock steps.

use std::sync::Arc;

use doorward_store::RotateOutcome;
use doorward_store::sqlite::SqliteStore;
use proptest::prelude::*;

use crate::conformance::scene::{Opened, Scene, at};

const WINDOW: i64 = 120;

/// When each generation was reached; the first one at index 0.
struct Model {
    reached: Vec<i64>,
    ended: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Successor(u32, bool),
    Reused,
    Ended,
    Unknown,
}

impl Model {
    fn rotate(&mut self, generation: usize, now: i64) -> Answer {
        let current = self.reached.len();
        let answer = |successor: usize, retry| Answer::Successor(u32::try_from(successor).unwrap(), retry);
        if self.ended {
            Answer::Ended
        } else if generation == 0 || generation > current {
            Answer::Unknown
        } else if generation == current {
            self.reached.push(now);
            answer(current + 1, false)
        } else if generation + 1 == current || now - self.reached[generation] <= WINDOW {
            answer(generation + 1, true)
        } else {
            self.ended = true;
            Answer::Reused
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rotation_does_what_the_model_does(steps in prop::collection::vec((-3_i64..=1, 0_i64..90), 1..15)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(SqliteStore::temporary().unwrap());
            let scene = Scene::new(Opened { store, keep: Box::new(()) }).await;
            let grant = scene.active().await;
            let mut model = Model { reached: vec![0], ended: false };
            let mut now = 0;
            for (behind, pause) in steps {
                now += pause;
                let current = i64::try_from(model.reached.len()).unwrap();
                let generation = usize::try_from((current + behind).max(0)).unwrap();
                let expected = model.rotate(generation, now);
                let answer = match scene.rotate(grant, u32::try_from(generation).unwrap(), at(now)).await {
                    RotateOutcome::Rotated { successor, retry, .. } => Answer::Successor(successor, retry),
                    RotateOutcome::Reused => Answer::Reused,
                    RotateOutcome::Ended | RotateOutcome::Expired => Answer::Ended,
                    RotateOutcome::Unknown => Answer::Unknown,
                };
                assert_eq!(answer, expected, "generation {generation} of {current} at {now}");
            }
        });
    }
}
