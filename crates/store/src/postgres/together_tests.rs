use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::super::cluster::Database;
use super::super::template;
use super::super::{PostgresOptions, PostgresStore};
use super::*;

/// Tests of their own kind of operation each, since a kind has one place to meet.
macro_rules! kind {
    ($name:ident, |$asked:ident| $answers:expr) => {
        #[derive(Debug, Clone, Copy, PartialEq)]
        struct $name(usize);

        impl Together for $name {
            type Answer = usize;

            fn meeting(_: &Engine) -> &Meeting<Self> {
                static MEETING: std::sync::OnceLock<Meeting<$name>> = std::sync::OnceLock::new();
                MEETING.get_or_init(Meeting::default)
            }

            async fn all(_: &Connection, $asked: &[Self]) -> Fallible<Vec<usize>> {
                $answers
            }
        }
    };
}

async fn opened(queue: usize) -> Option<(PostgresStore, Database)> {
    let database = template::database().await?;
    let options = PostgresOptions {
        queue,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(&database.url(), &options).await.unwrap();
    Some((store, database))
}

/// More than may be are on their way.
const OCCUPIED: usize = 100;

fn occupy<O: Together>(engine: &Engine) {
    O::meeting(engine).state().on_their_way = OCCUPIED;
}

/// All of them come back, and one takes those that wait.
fn release<O: Together>(engine: &Arc<Engine>) {
    O::meeting(engine).state().on_their_way = 0;
    engine.find_way::<O>(1);
}

async fn ask<O: Together>(
    engine: &Arc<Engine>,
    operations: impl IntoIterator<Item = O>,
) -> JoinSet<Fallible<O::Answer>> {
    let mut asked = JoinSet::new();
    let mut waiting = 0;
    for operation in operations {
        let engine = Arc::clone(engine);
        asked.spawn(async move { engine.together(operation).await });
        waiting += 1;
    }
    while O::meeting(engine).state().waiting.len() < waiting {
        tokio::task::yield_now().await;
    }
    asked
}

#[tokio::test]
async fn those_that_come_while_others_are_on_their_way_go_in_one_statement() {
    static STATEMENTS: AtomicUsize = AtomicUsize::new(0);
    kind!(Doubled, |asked| {
        STATEMENTS.fetch_add(1, Ordering::Relaxed);
        Ok(asked.iter().map(|asked| asked.0 * 2).collect())
    });
    let Some((store, _database)) = opened(4096).await else {
        return;
    };
    occupy::<Doubled>(&store);
    let mut asked = ask(&store.engine, (0..MOST + 10).map(Doubled)).await;
    assert_eq!(STATEMENTS.load(Ordering::Relaxed), 0);
    release::<Doubled>(&store.engine);
    let mut answers = Vec::new();
    while let Some(answer) = asked.join_next().await {
        answers.push(answer.unwrap().unwrap());
    }
    answers.sort_unstable();
    assert_eq!(
        answers,
        (0..MOST + 10).map(|number| number * 2).collect::<Vec<_>>()
    );
    assert_eq!(STATEMENTS.load(Ordering::Relaxed), 2);
    while Doubled::meeting(&store).state().on_their_way > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_fails_together_is_told_to_each() {
    kind!(Failing, |_asked| Err(Fault::Lost("gone".to_owned())));
    let Some((store, _database)) = opened(4096).await else {
        return;
    };
    occupy::<Failing>(&store);
    let mut asked = ask(&store.engine, (0..20).map(Failing)).await;
    release::<Failing>(&store.engine);
    while let Some(answer) = asked.join_next().await {
        assert!(matches!(answer.unwrap(), Err(Fault::Lost(why)) if why == "gone"));
    }
}

#[tokio::test]
async fn what_hangs_keeps_nobody_else_waiting() {
    /// Fewer than half of the connections.
    const HANG: usize = 7;
    kind!(Hanging, |asked| {
        if asked[0].0 < HANG {
            std::future::pending::<()>().await;
        }
        Ok(asked.iter().map(|asked| asked.0).collect())
    });
    let Some((store, _database)) = opened(4096).await else {
        return;
    };
    let mut hanging = JoinSet::new();
    for number in 0..HANG {
        let engine = Arc::clone(&store.engine);
        hanging.spawn(async move { engine.together(Hanging(number)).await });
        while Hanging::meeting(&store).state().on_their_way <= number {
            tokio::task::yield_now().await;
        }
    }
    for number in HANG..HANG + 4 {
        assert_eq!(store.engine.together(Hanging(number)).await.unwrap(), number);
    }
    assert!(hanging.try_join_next().is_none());
}

#[tokio::test]
async fn who_finds_no_way_is_told_in_time_that_there_is_no_room() {
    kind!(Stuck, |asked| Ok(vec![0; asked.len()]));
    let Some(database) = template::database().await else {
        return;
    };
    let options = PostgresOptions {
        wait: Duration::from_millis(60),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(&database.url(), &options).await.unwrap();
    occupy::<Stuck>(&store);
    let busy = store.engine.together(Stuck(0)).await;
    assert!(matches!(busy, Err(Fault::Refused(StoreError::Busy))), "{busy:?}");
    assert_eq!(Stuck::meeting(&store).state().waiting.len(), 0);
}

#[tokio::test]
async fn nothing_is_done_for_whoever_gave_up_waiting() {
    kind!(Noted, |asked| {
        assert_eq!(asked, [Noted(7)]);
        Ok(vec![7])
    });
    let Some((store, _database)) = opened(4096).await else {
        return;
    };
    occupy::<Noted>(&store);
    let mut gone = ask(&store.engine, (0..5).map(Noted)).await;
    gone.shutdown().await;
    let mut asked = JoinSet::new();
    let engine = Arc::clone(&store.engine);
    asked.spawn(async move { engine.together(Noted(7)).await });
    while Noted::meeting(&store).state().waiting.len() < 6 {
        tokio::task::yield_now().await;
    }
    release::<Noted>(&store.engine);
    assert_eq!(asked.join_next().await.unwrap().unwrap().unwrap(), 7);
}

#[tokio::test]
async fn more_than_may_wait_are_busy_at_once() {
    kind!(Queued, |asked| Ok(vec![0; asked.len()]));
    let Some((store, _database)) = opened(3).await else {
        return;
    };
    occupy::<Queued>(&store);
    let mut asked = ask(&store.engine, (0..3).map(Queued)).await;
    let busy = store.engine.together(Queued(3)).await;
    assert!(matches!(busy, Err(Fault::Refused(StoreError::Busy))), "{busy:?}");
    // Those who gave up leave room.
    asked.shutdown().await;
    let mut asked = ask(&store.engine, (0..3).map(Queued)).await;
    release::<Queued>(&store.engine);
    while let Some(answer) = asked.join_next().await {
        answer.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_way_that_panics_is_lost_for_those_on_it_and_free_for_the_next() {
    kind!(Panicking, |asked| {
        assert_ne!(asked[0], Panicking(0), "as the test wants it");
        Ok(vec![1; asked.len()])
    });
    let Some((store, _database)) = opened(4096).await else {
        return;
    };
    occupy::<Panicking>(&store);
    // More than go at once: some wait behind those whose way panics.
    let mut asked = ask(&store.engine, [0; MOST].map(Panicking)).await;
    let mut behind = JoinSet::new();
    for _ in 0..5 {
        let engine = Arc::clone(&store.engine);
        behind.spawn(async move { engine.together(Panicking(1)).await });
    }
    while Panicking::meeting(&store).state().waiting.len() < MOST + 5 {
        tokio::task::yield_now().await;
    }
    release::<Panicking>(&store.engine);
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        assert!(matches!(answer, Err(Fault::Lost(_))), "{answer:?}");
    }
    while let Some(answer) = behind.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), 1);
    }
    while Panicking::meeting(&store).state().on_their_way > 0 {
        tokio::task::yield_now().await;
    }
}
