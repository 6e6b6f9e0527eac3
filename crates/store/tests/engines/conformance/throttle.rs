use std::sync::Arc;
use std::time::Duration;

use doorward_store::{LoginThrottle, Store, ThrottlePolicy};

use super::scene::{Opened, at, at_once};

pub(crate) const POLICY: ThrottlePolicy = ThrottlePolicy {
    free_attempts: 3,
    first_wait: Duration::from_secs(2),
    longest_wait: Duration::from_mins(1),
    forget_after: Duration::from_mins(15),
};

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

async fn attempt(store: &dyn Store, key: &str, second: i64) -> LoginThrottle {
    store
        .begin_login(&keys(&[key]), POLICY, at(second))
        .await
        .unwrap()
}

/// Uses up the free attempts of a key.
async fn use_up(store: &dyn Store, key: &str) {
    for _ in 0..3 {
        assert_eq!(attempt(store, key, 0).await, LoginThrottle::Allowed);
    }
}

pub(crate) async fn free_attempts_do_not_wait(opened: Opened) {
    use_up(&*opened.store, "ada").await;
    assert_eq!(attempt(&*opened.store, "ada", 0).await, LoginThrottle::Wait(2));
    assert_eq!(attempt(&*opened.store, "grace", 0).await, LoginThrottle::Allowed);
}

pub(crate) async fn the_wait_doubles_up_to_the_longest(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    let mut now = 0;
    for wait in [2, 4, 8, 16, 32].into_iter().chain([60; 40]) {
        assert_eq!(attempt(store, "ada", now).await, LoginThrottle::Wait(wait));
        now += i64::try_from(wait).unwrap();
        assert_eq!(attempt(store, "ada", now - 1).await, LoginThrottle::Wait(1));
        assert_eq!(attempt(store, "ada", now).await, LoginThrottle::Allowed);
    }
}

pub(crate) async fn a_refused_attempt_is_not_counted(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    for _ in 0..50 {
        assert_eq!(attempt(store, "ada", 1).await, LoginThrottle::Wait(1));
    }
    assert_eq!(attempt(store, "ada", 2).await, LoginThrottle::Allowed);
}

pub(crate) async fn attempts_are_forgotten(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    assert_eq!(attempt(store, "ada", 900).await, LoginThrottle::Allowed);
    assert_eq!(attempt(store, "ada", 900).await, LoginThrottle::Allowed);
}

pub(crate) async fn one_waiting_key_holds_all_and_counts_none(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    for _ in 0..20 {
        let both = store
            .begin_login(&keys(&["address", "ada"]), POLICY, at(0))
            .await
            .unwrap();
        assert_eq!(both, LoginThrottle::Wait(2));
    }
    use_up(store, "address").await;
}

pub(crate) async fn a_right_password_gives_the_attempts_back(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    use_up(store, "grace").await;
    store.clear_login(&keys(&["ada"]), &[]).await.unwrap();
    use_up(store, "ada").await;
    assert_eq!(attempt(store, "grace", 0).await, LoginThrottle::Wait(2));
}

pub(crate) async fn one_attempt_is_given_back_and_what_others_failed_stays(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "address").await;
    for _ in 0..5 {
        store
            .clear_login(&keys(&["ada"]), &keys(&["address"]))
            .await
            .unwrap();
        assert_eq!(attempt(store, "address", 0).await, LoginThrottle::Allowed);
        assert_eq!(attempt(store, "address", 0).await, LoginThrottle::Wait(2));
    }
    // Beyond the free attempts as well, and never below none.
    assert_eq!(attempt(store, "address", 2).await, LoginThrottle::Allowed);
    store.clear_login(&[], &keys(&["address"])).await.unwrap();
    assert_eq!(attempt(store, "address", 2).await, LoginThrottle::Wait(2));
    for key in ["address", "address", "address", "address", "nobody"] {
        store.clear_login(&[], &keys(&[key])).await.unwrap();
    }
    use_up(store, "nobody").await;
    assert_eq!(attempt(store, "nobody", 0).await, LoginThrottle::Wait(2));
    use_up(store, "address").await;
    assert_eq!(attempt(store, "address", 0).await, LoginThrottle::Wait(2));
}

pub(crate) async fn a_clock_that_went_back_locks_nobody_out(opened: Opened) {
    let store = &*opened.store;
    use_up(store, "ada").await;
    let past = -10 * 365 * 86_400;
    assert_eq!(attempt(store, "ada", past).await, LoginThrottle::Wait(2));
    assert_eq!(attempt(store, "ada", past + 2).await, LoginThrottle::Allowed);
}

pub(crate) async fn parallel_guesses_get_no_more_than_the_free_attempts(opened: Opened) {
    let store = opened.store;
    let answers = at_once(60, |_| {
        let store = Arc::clone(&store);
        async move { attempt(&*store, "ada", 0).await }
    })
    .await;
    let allowed = answers
        .iter()
        .filter(|answer| **answer == LoginThrottle::Allowed)
        .count();
    assert_eq!(allowed, 3);
}
