//! The follower of the feed: reconnect, resume, reset, silence, bounds, and what becomes of tokens meanwhile.

use std::time::Duration;

use doorward_guard::client::ClientAuth;
use doorward_guard::{
    Algorithm, BuildError, FeedFault, FeedPolicy, FetchFailure, Guard, Revocation, RevocationStatus,
    UnixSeconds, VerifyError,
};
use doorward_jose::SigningKey;
use http::StatusCode;
use serde_json::json;

use super::support::{FEED, FakeEndpoints, assert_revoked, revoked, world};
use crate::support::{AS_METADATA, Behaviour, ISSUER, JWKS, RESOURCE, START, World, pass};

const ALIVE: &str = ": alive\n\n";

pub(super) fn feed(change: impl FnOnce(&mut FeedPolicy)) -> Revocation {
    let mut policy = FeedPolicy::default();
    change(&mut policy);
    Revocation::Feed(policy)
}

/// Every 10 s, as the server does.
async fn pass_with_heartbeats(endpoints: &FakeEndpoints, seconds: u64) {
    for _ in 0..seconds / 10 {
        pass(10).await;
        endpoints.send(ALIVE);
    }
    pass(1).await;
}

pub(super) fn fault(world: &World) -> Option<FeedFault> {
    let status = world.guard.revocation_status();
    assert!(
        !matches!(status, RevocationStatus::Off | RevocationStatus::Asks),
        "{status:?}"
    );
    match status {
        RevocationStatus::Disconnected { reason, .. } => Some(reason),
        _ => None,
    }
}

/// RS-036, REV-001; DESIGN rule 7.
#[tokio::test(start_paused = true)]
async fn a_revoked_grant_is_refused_as_soon_as_the_feed_tells() {
    let (world, endpoints) = world(Revocation::feed());
    let (token, other) = (world.token(), world.token_with(&json!({"gid": "grant-2"})));
    for token in [&token, &token, &other] {
        assert_eq!(world.ping(token).await, StatusCode::OK);
    }
    assert!(endpoints.send(revoked(&world, 1, "gid", "grant-1")));
    pass(1).await;
    assert_revoked(&world, &token).await;
    assert_revoked(&world, &world.token_with(&json!({"jti": "another of the grant"}))).await;
    assert_eq!(world.ping(&other).await, StatusCode::OK);
    let verified = world.guard.verify(&token).await.unwrap_err();
    assert!(matches!(
        verified,
        VerifyError::Rejected(doorward_guard::Rejection::Revoked)
    ));
}

/// A panic is a connection that could not be made: the pauses grow, and the guard knows that it does not hear.
#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_is_asked_again_with_pauses() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.set_breaking(true);
    for _ in 0..60 {
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
        pass(1).await;
    }
    assert_eq!(fault(&world), Some(FeedFault::Unreachable));
    let attempts = endpoints.cursors().len();
    assert!((4..=9).contains(&attempts), "{attempts}");
    endpoints.set_breaking(false);
    let mut seconds = 0;
    while fault(&world).is_some() {
        seconds += 1;
        assert!(seconds <= 31, "the longest pause is over");
        pass(1).await;
    }
}

/// A key that was withdrawn must not count until the guard would ask for the keys by itself.
#[tokio::test(start_paused = true)]
async fn the_keys_are_fetched_again_when_the_feed_tells_that_they_changed() {
    let (world, endpoints) = world(Revocation::feed());
    let token = world.token();
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert_eq!(world.server.key_fetches(), 1);
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    world.server.publish_keys(&[&next]);
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert!(endpoints.send("event: keys\ndata: {}\n\n"));
    pass(1).await;
    assert_eq!(world.server.key_fetches(), 2);
    assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
}

/// A node that a load balancer chose may hear of a change later than the one that told of it.
#[tokio::test(start_paused = true)]
async fn keys_that_changed_are_fetched_once_more_when_every_node_has_them() {
    let (world, endpoints) = world(Revocation::feed());
    let token = world.token();
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert!(endpoints.send("event: keys\ndata: {}\n\n"));
    pass(1).await;
    assert_eq!(world.server.key_fetches(), 2);
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    world.server.publish_keys(&[&next]);
    pass(1).await;
    assert_eq!(world.server.key_fetches(), 3);
    pass(20).await;
    assert_eq!(world.server.key_fetches(), 3);
    assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn one_token_a_client_or_a_person_can_be_revoked() {
    let (world, endpoints) = world(Revocation::feed());
    let second = world.token_with(&json!({"jti": "token-2"}));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    endpoints.send(revoked(&world, 1, "jti", "token-1"));
    pass(1).await;
    assert_revoked(&world, &world.token()).await;
    assert_eq!(world.ping(&second).await, StatusCode::OK);
    for (position, member, id) in [(2, "client_id", "client-1"), (3, "sub", "alice")] {
        endpoints.send(revoked(&world, position, member, id));
        pass(1).await;
        assert_revoked(&world, &second).await;
        pass(60).await;
        let afterwards = world.token_with(&json!({"jti": format!("token-{position}x")}));
        assert_eq!(world.ping(&afterwards).await, StatusCode::OK, "{member}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_guard_says_whether_it_is_connected() {
    let (world, endpoints) = world(Revocation::feed());
    assert_eq!(fault(&world), Some(FeedFault::Starting));
    endpoints.open_with("");
    world.guard.start();
    pass(1).await;
    assert_eq!(fault(&world), Some(FeedFault::CatchingUp));
    endpoints.send("id: log-0\nevent: ready\ndata: {}\n\n");
    pass(1).await;
    let since = UnixSeconds(START + 1);
    assert_eq!(
        world.guard.revocation_status(),
        RevocationStatus::Connected { since }
    );
    endpoints.send(revoked(&world, 1, "gid", "x"));
    pass(1).await;
    let counted = world.guard.metrics().feed.unwrap();
    assert_eq!(
        (
            counted.connected,
            counted.remembered,
            counted.heard,
            counted.disconnects
        ),
        (true, 1, 1, 0)
    );
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    endpoints.end();
    pass(2).await;
    assert_eq!(fault(&world), Some(FeedFault::Unreachable));
    let counted = world.guard.metrics().feed.unwrap();
    assert!(!counted.connected && counted.disconnects >= 2, "{counted:?}");
    // Whoever has no feed says so as well.
    assert_eq!(World::new().guard.revocation_status(), RevocationStatus::Off);
    assert_eq!(World::new().guard.metrics().feed, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_break_it_goes_on_where_it_was() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    endpoints.send(revoked(&world, 7, "gid", "grant-7"));
    pass(1).await;
    // Revoked in the gap.
    endpoints.open_with(format!(
        "{}id: log-8\nevent: ready\ndata: {{}}\n\n",
        revoked(&world, 8, "gid", "grant-1")
    ));
    endpoints.end();
    pass(1).await;
    assert_eq!(fault(&world), None);
    assert_revoked(&world, &world.token()).await;
    endpoints.end();
    pass(1).await;
    let cursors = endpoints.cursors();
    let cursors: Vec<_> = cursors.iter().map(Option::as_deref).collect();
    assert_eq!(cursors, [None, Some("log-7"), Some("log-8")]);
}

/// A half-open connection: TCP says nothing, and neither does the server.
#[tokio::test(start_paused = true)]
async fn silence_for_25_seconds_is_a_dead_connection() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass_with_heartbeats(&endpoints, 600).await;
    assert_eq!((endpoints.cursors().len(), fault(&world)), (1, None));
    pass(23).await;
    assert_eq!(endpoints.cursors().len(), 1);
    pass(3).await;
    assert_eq!(endpoints.cursors().len(), 2);
    assert!(endpoints.is_followed());
    assert_eq!(fault(&world), None);
    assert_eq!(world.guard.metrics().feed.unwrap().disconnects, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_tried_again_with_growing_pauses_and_heals_by_itself() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    world.guard.start();
    pass(10).await;
    let soon = endpoints.cursors().len();
    assert!((3..=8).contains(&soon), "{soon}");
    pass(600).await;
    let later = endpoints.cursors().len() - soon;
    assert!((18..=45).contains(&later), "{later}");
    assert_eq!(fault(&world), Some(FeedFault::Unreachable));
    endpoints.refuse(None);
    // It may be followed again at once, and would be silent by the end.
    pass_with_heartbeats(&endpoints, 31).await;
    assert_eq!(fault(&world), None);
}

#[tokio::test(start_paused = true)]
async fn the_reason_says_what_to_change() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.refuse(Some(FetchFailure::refused("the server answered with status 403")));
    world.guard.start();
    pass(1).await;
    assert_eq!(fault(&world), Some(FeedFault::Refused));

    let (world, endpoints) = super::support::world(Revocation::feed());
    let metadata = json!({"issuer": ISSUER, "jwks_uri": JWKS});
    world.server.publish(AS_METADATA, Behaviour::Json(metadata));
    world.guard.start();
    pass(1).await;
    assert_eq!(fault(&world), Some(FeedFault::NotOffered));
    // Credentials are not sent where nobody can tell who answers.
    let metadata = json!({"issuer": ISSUER, "jwks_uri": JWKS, "revocation_events_endpoint": FEED.replace("https", "http")});
    world.server.publish(AS_METADATA, Behaviour::Json(metadata));
    pass(300).await;
    assert_eq!(fault(&world), Some(FeedFault::NotOffered));
    assert_eq!(endpoints.cursors().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_taken_for_a_feed() {
    let garbage = [
        "event: revocation\ndata: {\"gid\":7}\n\n".to_owned(),
        "event: revocation\ndata: \n\n".to_owned(),
        "event: revocation\ndata: [\"grant-1\"]\n\n".to_owned(),
        "event: revocation\ndata: {\"gid\":\"grant-1\",\"gid\":\"grant-2\"}\n\n".to_owned(),
        "x".repeat(9000),
    ];
    for text in garbage {
        let (world, endpoints) = world(Revocation::feed());
        world.guard.start();
        pass(1).await;
        endpoints.open_with("");
        endpoints.send(text);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(fault(&world), Some(FeedFault::Malformed));
        assert!(!endpoints.is_followed());
    }
    // What is new is passed over, and the connection goes on.
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    endpoints.send("event: news\ndata: 1\n\nid: log-1\nevent: revocation\ndata: {\"device\":\"x\"}\n\n");
    endpoints.send(revoked(&world, 2, "gid", "grant-1"));
    pass(1).await;
    assert_revoked(&world, &world.token()).await;
    assert_eq!(endpoints.cursors().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_counts_whatever_comes_behind_it() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    // In one piece, with a line without end.
    let endless = "x".repeat(10_000);
    endpoints.send(format!("{}{endless}", revoked(&world, 1, "gid", "grant-1")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fault(&world), Some(FeedFault::Malformed));
    assert_revoked(&world, &world.token()).await;
}

#[tokio::test(start_paused = true)]
async fn no_task_outlives_the_guard() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    world.guard.start();
    pass(1).await;
    assert!(endpoints.is_followed());
    assert_eq!(endpoints.cursors().len(), 1);
    drop(world);
    pass(1).await;
    assert!(!endpoints.is_followed());
    assert!(!endpoints.send(ALIVE));
    pass(120).await;
    assert_eq!(endpoints.cursors().len(), 1);
}

/// The guard begins to follow with the first request, when it was built without a runtime.
#[test]
fn a_guard_that_was_built_outside_a_runtime_follows_from_its_first_request_on() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (world, endpoints) = runtime.block_on(async { world(Revocation::feed()) });
    assert_eq!(endpoints.cursors().len(), 0);
    runtime.block_on(async {
        world.ping(&world.token()).await;
        pass(1).await;
        assert_eq!(fault(&world), None);
    });
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_open_ends_when_its_grant_is_revoked() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    let token = world.token();
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let uri = "/mcp".parse().unwrap();
    let head = doorward_guard::Head::new(&http::Method::GET, &uri, &headers);
    let visit = world.guard.admit(head).await.unwrap();
    let ended = tokio::spawn(visit.ended().unwrap());
    endpoints.send(revoked(&world, 1, "gid", "grant-2"));
    pass(1).await;
    assert!(!ended.is_finished());
    endpoints.send(revoked(&world, 2, "gid", "grant-1"));
    pass(1).await;
    assert!(ended.is_finished());
}

#[test]
fn a_feed_without_credentials_is_refused_when_the_guard_is_built() {
    let build = |auth: Option<ClientAuth>, revocation| {
        let builder = Guard::builder(ISSUER, RESOURCE).revocation(revocation);
        let builder = match auth {
            Some(auth) => builder.client_auth(auth),
            None => builder,
        };
        builder.build()
    };
    for (auth, revocation) in [
        (None, Revocation::feed()),
        (Some(ClientAuth::public("guard")), Revocation::feed()),
        (None, Revocation::introspection()),
        (Some(ClientAuth::public("guard")), Revocation::introspection()),
        (
            Some(ClientAuth::basic("guard", "secret")),
            feed(|policy| policy.max_entries = 0),
        ),
    ] {
        let error = build(auth, revocation).unwrap_err();
        assert!(matches!(error, BuildError::Revocation(_)), "{error:?}");
    }
    let key = std::sync::Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    for auth in [
        ClientAuth::post("guard", "secret"),
        ClientAuth::private_key_jwt("guard", key),
    ] {
        assert!(build(Some(auth), Revocation::feed()).is_ok());
    }
}
