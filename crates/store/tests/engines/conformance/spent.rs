//! What counts once.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{CLOCK_ERROR, Spend};

use super::scene::{Opened, Scene, at, at_once, digest, fresh};

pub(crate) fn one(until: i64) -> Spend {
    Spend {
        digest: digest(9, fresh()),
        until: at(until),
        made_at: at(0),
    }
}

pub(crate) async fn a_thing_is_spent_once_until_it_would_be_refused_anyway(opened: Opened) {
    let scene = Scene::new(opened).await;
    let spend = [one(60)];
    assert_eq!(scene.store.spend(&spend, at(0)).await, Ok(true));
    for now in [0, 1, 59] {
        assert_eq!(scene.store.spend(&spend, at(now)).await, Ok(false));
    }
    let again = [Spend {
        until: at(120),
        ..spend[0]
    }];
    assert_eq!(scene.store.spend(&again, at(60)).await, Ok(true));
    assert_eq!(scene.store.spend(&again, at(119)).await, Ok(false));
    assert_eq!(scene.store.spend(&[], at(0)).await, Ok(true));
}

pub(crate) async fn several_things_are_spent_together_or_not_at_all(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (spent, fresh) = (one(60), one(60));
    assert_eq!(scene.store.spend(&[spent], at(0)).await, Ok(true));
    assert_eq!(scene.store.spend(&[fresh, spent], at(1)).await, Ok(false));
    assert_eq!(scene.store.spend(&[spent, fresh], at(1)).await, Ok(false));
    assert_eq!(scene.store.spend(&[fresh, fresh], at(1)).await, Ok(false));
    assert_eq!(scene.store.spend(&[fresh], at(1)).await, Ok(true));
}

pub(crate) async fn of_fifty_parallel_callers_one_spends(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    for _ in 0..10 {
        let spends = [one(60), one(60)];
        let answers = at_once(50, |caller| {
            let scene = Arc::clone(&scene);
            let mut spends = spends;
            if caller % 2 == 0 {
                spends.reverse();
            }
            async move { scene.store.spend(&spends, at(0)).await.unwrap() }
        })
        .await;
        assert_eq!(answers.iter().filter(|spent| **spent).count(), 1);
    }
}

/// By the clock of whoever removes it, which may be ahead.
pub(crate) async fn what_was_spent_is_forgotten_when_it_would_be_refused_anyway(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let later = [one(20)];
    store.spend(&[one(10), later[0]], at(0)).await.unwrap();
    let retain = Duration::from_hours(48);
    for (time, forgotten) in [(10, 0), (11, 1), (20, 0), (21, 1)] {
        let ahead = at(time) + CLOCK_ERROR;
        let swept = store.sweep(ahead, retain, 100).await.unwrap();
        assert_eq!(swept.total(), forgotten, "{time}");
        if time < 20 {
            assert_eq!(store.spend(&later, at(time)).await, Ok(false), "{time}");
        }
    }
}
