//! The issuer's keys: outages, rotation, storms, hostile answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_guard::{
    Algorithm, Clock, Document, Fetch, FetchFailure, Guard, Rejection, SystemClock, VerifyError,
};
use doorward_jose::{SigningKey, sign};
use futures_util::future::{BoxFuture, join_all};
use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{AS_METADATA, Behaviour, ISSUER, JWKS, RESOURCE, World, pass, ping_message, raw_token};

mod clocks;

fn es256() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

/// RS-018; rows 30 and 33.
#[tokio::test(start_paused = true)]
async fn without_keys_the_answer_is_503_and_heals_by_itself() {
    let world = World::new();
    world.server.set_down(true);
    let token = world.token();
    let ping = ping_message();
    let answers = join_all((0..200).map(|_| world.post(&token, &ping))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert_eq!(answer.challenge(), "", "a client must not throw its token away");
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    }
    let asked = world.server.asked();
    assert_eq!(
        asked.len(),
        2,
        "one attempt, at both metadata addresses: {asked:?}"
    );

    // A long outage: pauses grow, but stay short enough to heal quickly.
    pass(600).await;
    let attempts = world.server.asked().len() / 2;
    assert!((100..300).contains(&attempts), "{attempts}");
    assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    world.server.set_down(false);
    pass(5).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert_eq!(world.server.key_fetches(), 1);
}

/// A token that is bad whatever the keys are is 401 even then.
#[tokio::test(start_paused = true)]
async fn without_keys_a_token_of_another_kind_is_still_401() {
    let world = World::new();
    world.server.set_down(true);
    assert_eq!(world.ping("garbage").await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        world.ping(&world.sign("JWT", &world.claims())).await,
        StatusCode::UNAUTHORIZED
    );
}

/// RS-019; row 29.
#[tokio::test(start_paused = true)]
async fn known_keys_last_through_an_outage_until_they_are_too_old() {
    let world = World::with(|builder| builder.max_stale(Duration::from_hours(1)));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    world.server.set_down(true);
    pass(60).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    pass(3600 - 62).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    pass(4).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
    world.server.set_down(false);
    pass(31).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
}

/// The time between two refreshes is no time in which they are too old.
#[tokio::test(start_paused = true)]
async fn keys_are_never_too_old_while_the_issuer_answers() {
    for max_stale in [20, 60, 290] {
        let world = World::with(|builder| builder.max_stale(Duration::from_secs(max_stale)));
        let started = Instant::now();
        while started.elapsed() < Duration::from_mins(15) {
            assert_eq!(world.ping(&world.token()).await, StatusCode::OK, "{max_stale}");
            pass(7).await;
        }
        let fetches = world.server.key_fetches();
        assert!(fetches <= 100, "{fetches} in a quarter of an hour");
    }
}

/// A panic is a failed attempt, and not the last one.
#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_ends_nothing_for_ever() {
    let world = World::new();
    world.server.publish(JWKS, Behaviour::Panics);
    let started = Instant::now();
    assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "the failure is told at once"
    );
    pass(30).await;
    world.server.publish_keys(&[&world.key]);
    pass(5).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    let attempts = world.server.key_fetches();
    assert!((8..=14).contains(&attempts), "{attempts}");
}

/// RS-020; row 26. Also twice in a row: only keys that do not exist cost waiting.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_with_one_fetch() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    for rotation in 1..=3 {
        let next = es256();
        world.server.publish_keys(&[&next, &world.key]);
        let token = sign(&next, "at+jwt", &world.claims()).unwrap();
        let answers = join_all((0..50).map(|_| world.ping(&token))).await;
        assert!(
            answers.iter().all(|status| *status == StatusCode::OK),
            "{answers:?}"
        );
        assert_eq!(world.server.key_fetches(), 1 + rotation);
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    }
}

/// RS-021; row 27.
#[tokio::test(start_paused = true)]
async fn a_storm_of_unknown_keys_costs_one_fetch_per_cooldown() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    let bogus = |n: usize| {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"bogus-{n}"}}"#);
        raw_token(&world.key, &header, &world.claims().to_string())
    };
    let storm: Vec<_> = (0..40).map(bogus).collect();
    for round in 1..=3 {
        let answers = join_all(storm.iter().map(|token| world.ping(token))).await;
        assert!(
            answers.iter().all(|status| *status == StatusCode::UNAUTHORIZED),
            "{answers:?}"
        );
        for token in &storm {
            assert_eq!(world.ping(token).await, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(world.server.key_fetches(), 1 + round);
        assert_eq!(
            world.ping(&world.token()).await,
            StatusCode::OK,
            "the storm disturbs nobody"
        );
        pass(31).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_cooldown_for_unknown_keys_can_be_set() {
    let world = World::with(|builder| builder.unknown_key_cooldown(Duration::from_secs(5)));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    let unknown = sign(&es256(), "at+jwt", &world.claims()).unwrap();
    for (wait, fetches) in [(0, 2), (3, 2), (3, 3), (3, 3), (3, 4)] {
        pass(wait).await;
        assert_eq!(world.ping(&unknown).await, StatusCode::UNAUTHORIZED);
        assert_eq!(world.server.key_fetches(), fetches);
    }
}

/// Row 30: nobody can tell whether the key exists.
#[tokio::test(start_paused = true)]
async fn an_unknown_key_in_an_outage_is_503() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    world.server.set_down(true);
    let token = sign(&es256(), "at+jwt", &world.claims()).unwrap();
    for _ in 0..3 {
        assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
}

/// RS-026: what a stranger writes into a token leads to no request.
#[tokio::test(start_paused = true)]
async fn another_issuer_causes_no_fetch() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    let before = world.server.asked().len();
    let evil = es256();
    for issuer in [
        "https://evil.example",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "https://as.example@evil.example",
    ] {
        let token = sign(&evil, "at+jwt", &world.changed(&json!({"iss": issuer}))).unwrap();
        assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.server.asked().len(), before);
}

/// RS-023; rows 28 and 31.
#[tokio::test(start_paused = true)]
async fn a_bad_answer_never_replaces_good_keys() {
    let private = json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]});
    for bad in [
        Behaviour::Fails,
        Behaviour::Hangs,
        Behaviour::Raw(b"<html>"),
        Behaviour::Raw(b""),
        Behaviour::Raw(br#"{"keys":[],"keys":[]}"#),
        Behaviour::Json(json!({"keys": []})),
        Behaviour::Json(json!({"keys": "x"})),
        Behaviour::Json(json!([])),
        Behaviour::Json(private),
    ] {
        let world = World::new();
        world.server.publish(JWKS, bad.clone());
        let cold = world.ping(&world.token()).await;
        assert_eq!(cold, StatusCode::SERVICE_UNAVAILABLE);
        world.server.publish_keys(&[&world.key]);
        pass(20).await;
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
        world.server.publish(JWKS, bad);
        pass(900).await;
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    }
}

/// Row 28: a moved key set is followed; bad metadata changes nothing.
#[tokio::test(start_paused = true)]
async fn bad_metadata_changes_nothing_and_a_moved_key_set_is_followed() {
    let elsewhere = "https://keys.example/jwks.json";
    for bad in [
        json!({"issuer": "https://evil.example", "jwks_uri": elsewhere}),
        json!({"issuer": "https://as.example/", "jwks_uri": elsewhere}),
        json!({"issuer": ISSUER, "jwks_uri": "http://keys.example/jwks.json"}),
        json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/jwks.json"}),
        json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": ISSUER}),
        json!({"jwks_uri": elsewhere}),
        json!([]),
    ] {
        let world = World::new();
        world.server.publish(AS_METADATA, Behaviour::Json(bad));
        assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            world
                .server
                .asked()
                .iter()
                .all(|url| url.starts_with("https://as.example/.well-known/"))
        );
    }
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    world.server.publish(
        AS_METADATA,
        Behaviour::Json(json!({"issuer": "https://evil.example", "jwks_uri": elsewhere})),
    );
    pass(301).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert!(!world.server.asked().contains(&elsewhere.to_owned()));

    let next = es256();
    world.server.publish(
        AS_METADATA,
        Behaviour::Json(json!({"issuer": ISSUER, "jwks_uri": elsewhere})),
    );
    world
        .server
        .publish(elsewhere, Behaviour::Json(json!({"keys": [next.public_jwk()]})));
    pass(301).await;
    assert_eq!(
        world.ping(&sign(&next, "at+jwt", &world.claims()).unwrap()).await,
        StatusCode::OK
    );
    assert_eq!(world.ping(&world.token()).await, StatusCode::UNAUTHORIZED);
}

/// RS-022: metadata that hangs does not keep the guard from seeing that a key is gone.
#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_while_the_metadata_hangs() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    world.server.publish(AS_METADATA, Behaviour::Hangs);
    world.server.publish_keys(&[&es256()]);
    pass(330).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::UNAUTHORIZED);
}

/// RS-018: keys that arrive between two looks at them are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_comes_with_the_keys_is_not_turned_away() {
    struct AtOnce(serde_json::Value);
    impl Fetch for AtOnce {
        fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
            let document = if url == JWKS {
                json!({"keys": [self.0]})
            } else {
                json!({"issuer": ISSUER, "jwks_uri": JWKS})
            };
            Box::pin(async move { Ok(Document::new(document.to_string())) })
        }
    }
    let key = es256();
    let now = SystemClock.now().seconds();
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": RESOURCE, "client_id": "client-1", "jti": "token-1",
        "iat": now, "exp": now + 300,
    });
    let token = sign(&key, "at+jwt", &claims).unwrap();
    for _ in 0..300 {
        let fetch = AtOnce(serde_json::to_value(key.public_jwk()).unwrap());
        let guard = Guard::builder(ISSUER, RESOURCE)
            .fetch(Arc::new(fetch))
            .build()
            .unwrap();
        assert!(guard.verify(&token).await.is_ok());
    }
}

/// An interval of nothing is no endless loop of fetches.
#[tokio::test(start_paused = true)]
async fn the_interval_of_refreshes_has_a_floor() {
    let world = World::with(|builder| builder.key_refresh(Duration::ZERO));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    pass(10).await;
    assert!(world.server.key_fetches() <= 15, "{}", world.server.key_fetches());
}

/// Row 32: every place where metadata may be, in the clients' order.
#[tokio::test(start_paused = true)]
async fn an_issuer_with_a_path_is_found_at_each_well_known_place() {
    let places = [
        "https://as.example/.well-known/oauth-authorization-server/t",
        "https://as.example/.well-known/openid-configuration/t",
        "https://as.example/t/.well-known/openid-configuration",
    ];
    for (index, place) in places.iter().enumerate() {
        let world = World::new();
        let issuer = "https://as.example/t";
        world.server.publish(
            place,
            Behaviour::Json(json!({"issuer": issuer, "jwks_uri": JWKS})),
        );
        let guard = Guard::builder(issuer, RESOURCE)
            .clock(world.clock.clone())
            .fetch(world.server.clone())
            .build()
            .unwrap();
        assert!(
            guard
                .verify(&world.token_with(&json!({"iss": issuer})))
                .await
                .is_ok()
        );
        let metadata: Vec<_> = world
            .server
            .asked()
            .into_iter()
            .filter(|url| url.contains("/t"))
            .collect();
        assert_eq!(metadata, places[..=index]);
    }
}

/// A request waits for keys, but not for ever.
#[tokio::test(start_paused = true)]
async fn the_wait_for_keys_is_bounded() {
    let world = World::with(|builder| builder.key_wait(Duration::from_secs(2)));
    world.server.publish(JWKS, Behaviour::Hangs);
    let before = world.now();
    assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!((2..=3).contains(&(world.now() - before)));
}

/// Keys are refreshed without any request; an idle guard does not lag behind.
#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_in_the_background() {
    let world = World::new();
    pass(1).await;
    assert_eq!(world.server.key_fetches(), 1, "protect() began by itself");
    pass(3600).await;
    assert!(
        (12..=14).contains(&world.server.key_fetches()),
        "{}",
        world.server.key_fetches()
    );
}

/// Many guards that began together do not come back together, and none later than it has to.
#[tokio::test(start_paused = true)]
async fn guards_refresh_their_keys_before_they_get_old_and_not_all_at_once() {
    let worlds: Vec<_> = (0..40).map(|_| World::new()).collect();
    let mut refreshed = vec![None; worlds.len()];
    for second in 0..310 {
        pass(1).await;
        for (world, at) in worlds.iter().zip(&mut refreshed) {
            if world.server.key_fetches() > 1 {
                at.get_or_insert(second);
            }
        }
    }
    let times: BTreeSet<_> = refreshed.into_iter().map(Option::unwrap).collect();
    assert!(
        times.iter().all(|second| (268..=300).contains(second)),
        "{times:?}"
    );
    assert!(times.len() > 5, "{times:?}");
}

/// Nothing goes on when the last guard is gone.
#[tokio::test(start_paused = true)]
async fn a_dropped_guard_stops_fetching() {
    let world = World::new();
    pass(1).await;
    let server = world.server.clone();
    drop(world);
    pass(3600).await;
    assert_eq!(server.key_fetches(), 1);
}

/// A guard that was built outside of any runtime starts with its first request.
#[test]
fn a_guard_built_without_a_runtime_starts_with_its_first_request() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let world = runtime().block_on(async { World::new() });
    // The runtime in which the world was made is gone, and with it the task that fetched.
    runtime().block_on(async {
        let outcome = world.guard.verify(&world.token()).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    });
}

/// Nothing else than the fetch decides: a stored token is not accepted without keys.
#[tokio::test(start_paused = true)]
async fn verify_tells_an_outage_from_a_bad_token() {
    let world = World::new();
    world.server.set_down(true);
    assert!(matches!(
        world.guard.verify(&world.token()).await,
        Err(VerifyError::KeysUnavailable { .. })
    ));
    assert_eq!(
        world.guard.verify("x").await.unwrap_err(),
        VerifyError::Rejected(Rejection::Malformed)
    );
}
