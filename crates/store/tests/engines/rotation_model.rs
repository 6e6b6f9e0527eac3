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

/// What a client may do: how far behind the present generation its token is, and how long it waits before.
fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((-3_i64..=1, 0_i64..90), 1..15)
}

async fn follow(scene: &Scene, steps: Vec<(i64, i64)>) {
    let grant = scene.active().await;
    let mut model = Model {
        reached: vec![0],
        ended: false,
    };
    let mut now = 0;
    for (behind, pause) in steps {
        now += pause;
        let current = i64::try_from(model.reached.len()).unwrap();
        let generation = usize::try_from((current + behind).max(0)).unwrap();
        let expected = model.rotate(generation, now);
        let answer = match scene
            .rotate(grant, u32::try_from(generation).unwrap(), at(now))
            .await
        {
            RotateOutcome::Rotated { successor, retry, .. } => Answer::Successor(successor, retry),
            RotateOutcome::Reused => Answer::Reused,
            RotateOutcome::Ended | RotateOutcome::Expired => Answer::Ended,
            RotateOutcome::Unknown => Answer::Unknown,
        };
        assert_eq!(answer, expected, "generation {generation} of {current} at {now}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rotation_does_what_the_model_does(steps in steps()) {
        runtime().block_on(async {
            let store = Arc::new(SqliteStore::temporary().unwrap());
            follow(&Scene::new(Opened { store, keep: Box::new(()) }).await, steps).await;
        });
    }
}

#[cfg(unix)]
#[test]
fn rotation_on_postgres_does_what_the_model_does() {
    let runtime = runtime();
    let Some(opened) = runtime.block_on(crate::postgres::opened()) else {
        return;
    };
    let scene = runtime.block_on(Scene::new(opened));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&steps(), |steps| {
            runtime.block_on(follow(&scene, steps));
            Ok(())
        })
        .unwrap();
}
