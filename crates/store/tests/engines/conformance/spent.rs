//! What counts once.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::SpendOutcome::{Spent, UsedBefore};
use doorward_store::{CLOCK_ERROR, Spend};

use super::scene::{Opened, Scene, at, at_once, digest, fresh};

pub(crate) fn one(until: i64) -> Spend {
    Spend {
        digest: digest(9, fresh()),
        until: at(until),
        made_at: at(0),
    }
}

pub(crate) async fn a_thing_is_spent_once_whatever_is_said_of_its_end(opened: Opened) {
    let scene = Scene::new(opened).await;
    let spend = one(60);
    assert_eq!(scene.store.spend(&[spend]).await, Ok(Spent));
    for until in [0, 60, 120] {
        let again = Spend {
            until: at(until),
            ..spend
        };
        assert_eq!(scene.store.spend(&[again]).await, Ok(UsedBefore(0)), "{until}");
        assert_eq!(
            scene.store.spend(&[one(60), again]).await,
            Ok(UsedBefore(1)),
            "{until}"
        );
    }
    assert_eq!(scene.store.spend(&[]).await, Ok(Spent));
}

/// A look at the clock that says that it is over may come after the look that said that it is good.
pub(crate) async fn what_is_past_its_use_stays_spent_until_it_is_forgotten(opened: Opened) {
    let scene = Scene::new(opened).await;
    let over = one(10);
    assert_eq!(scene.store.spend(&[over]).await, Ok(Spent));
    let just_before = at(10) + CLOCK_ERROR;
    let swept = scene
        .store
        .sweep(just_before, Duration::from_hours(48), 100)
        .await;
    assert_eq!(swept.unwrap().total(), 0);
    assert_eq!(scene.store.spend(&[over]).await, Ok(UsedBefore(0)));
    assert_eq!(scene.store.spend(&[one(10), over]).await, Ok(UsedBefore(1)));
}

pub(crate) async fn several_things_are_spent_together_or_not_at_all(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (spent, fresh) = (one(60), one(60));
    assert_eq!(scene.store.spend(&[spent]).await, Ok(Spent));
    assert_eq!(scene.store.spend(&[fresh, spent]).await, Ok(UsedBefore(1)));
    assert_eq!(scene.store.spend(&[spent, fresh]).await, Ok(UsedBefore(0)));
    assert_eq!(scene.store.spend(&[fresh, fresh]).await, Ok(UsedBefore(1)));
    assert_eq!(scene.store.spend(&[fresh]).await, Ok(Spent));
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
            async move { scene.store.spend(&spends).await.unwrap() }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| **answer == Spent).count(), 1);
    }
}

/// By the clock of whoever removes it, which may be ahead.
pub(crate) async fn what_was_spent_is_forgotten_when_no_clock_would_take_it_any_more(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let later = [one(20)];
    store.spend(&[one(10), later[0]]).await.unwrap();
    let retain = Duration::from_hours(48);
    for (time, forgotten) in [(10, 0), (11, 1), (20, 0), (21, 1)] {
        let ahead = at(time) + CLOCK_ERROR;
        let swept = store.sweep(ahead, retain, 100).await.unwrap();
        assert_eq!(swept.total(), forgotten, "{time}");
        if time < 20 {
            assert_eq!(store.spend(&later).await, Ok(UsedBefore(0)), "{time}");
        }
    }
}
