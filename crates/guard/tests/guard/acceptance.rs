//! The acceptance list of resource servers: rows that no other file shows. "Row" numbers are those of the list in the
//! compliance page.

mod logs;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use doorward_guard::{
    DpopPolicy, Guard, GuardBuilder, Insertion, ReplayStore, ReplayStoreUnavailable, UnixSeconds, UsedProof,
};
use futures_util::future::{BoxFuture, join_all};
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::dpop::Bound;
use crate::support::{Answer, ISSUER, RESOURCE, World, call, ping_message, post};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A world whose resource is this one; its service is at the resource's path.
fn world_of(resource: &str) -> World {
    let world = World::new();
    let guard = Guard::builder(ISSUER, resource)
        .clock(world.clock.clone())
        .fetch(world.server.clone())
        .build()
        .unwrap();
    let path = resource.strip_prefix("https://mcp.example").unwrap();
    let path = path.split('?').next().unwrap();
    let inside = axum::routing::any(|| async {});
    let app: Router = guard.protect(if path.is_empty() { "/" } else { path }, inside);
    World { guard, app, ..world }
}

/// Row 2: where the metadata is, for every shape of resource; what it says is the resource byte for byte.
#[tokio::test(start_paused = true)]
async fn row_2_the_metadata_is_where_the_resource_says() {
    for (resource, url, paths) in [
        ("https://mcp.example", WELL_KNOWN, [WELL_KNOWN, WELL_KNOWN]),
        ("https://mcp.example/", WELL_KNOWN, [WELL_KNOWN, WELL_KNOWN]),
        ("https://mcp.example/mcp", "/mcp", ["/mcp", ""]),
        ("https://mcp.example/mcp/", "/mcp/", ["/mcp", "/mcp/"]),
        ("https://mcp.example/a/b/mcp", "/a/b/mcp", ["/a/b/mcp", ""]),
        (
            "https://mcp.example/mcp?tenant=a",
            "/mcp?tenant=a",
            ["/mcp", "/mcp?tenant=a"],
        ),
    ] {
        let world = world_of(resource);
        let at = |suffix: &str| match suffix.strip_prefix(WELL_KNOWN) {
            Some(_) => suffix.to_owned(),
            None => format!("{WELL_KNOWN}{suffix}"),
        };
        let said = world
            .guard
            .metadata_answer(&Method::GET, at(paths[0]).split('?').next().unwrap());
        assert!(said.is_some(), "{resource}");
        for path in paths {
            let answer = world.send(Request::get(at(path)), "").await;
            assert_eq!(answer.status, StatusCode::OK, "{resource} {path}");
            assert_eq!(answer.json()["resource"], resource);
            assert_eq!(answer.json()["authorization_servers"], json!([ISSUER]));
        }
        // Row 6: the challenge names one of these places.
        let path = resource.strip_prefix("https://mcp.example").unwrap();
        let challenged = world
            .send(Request::post(if path.is_empty() { "/" } else { path }), "")
            .await;
        let expected = format!("resource_metadata=\"https://mcp.example{}\"", at(url));
        assert!(
            challenged.challenge().contains(&expected),
            "{}",
            challenged.challenge()
        );
    }
}

type Settings = fn(GuardBuilder) -> GuardBuilder;

/// Every kind of refusal that has a challenge.
async fn refusals(settings: Settings) -> (World, Vec<Answer>) {
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        settings(builder.dpop_nonces(true).require_acr(["gold"]))
    });
    let with = |scheme: &str, token: &str| post().header("authorization", format!("{scheme} {token}"));
    let message = || ping_message().to_string();
    let (unbound, bound) = (client.world.token(), client.token());
    let unscoped = client.world.token_with(&json!({"scope": "", "acr": "gold"}));
    let proof = client.proof(&bound);
    let world = client.world;
    let mut answers = vec![
        world.send(post(), message()).await,
        world.send(with("Basic", "x"), message()).await,
        world.send(with("Bearer", "nonsense"), message()).await,
        world.send(with("Bearer", &bound), message()).await,
        world.send(with("DPoP", &unbound), message()).await,
        world.send(with("DPoP", &bound), message()).await,
        world
            .send(with("DPoP", &bound).header("dpop", "nonsense"), message())
            .await,
        world
            .send(with("DPoP", &bound).header("dpop", proof), message())
            .await,
        world.send(with("Bearer", &unbound), message()).await,
        world.send(with("Bearer", &unscoped), message()).await,
    ];
    let writer = world.token_with(&json!({"acr": "gold"}));
    answers.push(world.post(&writer, &call("write")).await);
    (world, answers)
}

/// Row 6: every challenge of every refusal leads to the metadata, wherever that is.
#[tokio::test(start_paused = true)]
async fn row_6_every_challenge_leads_to_the_metadata() {
    let usual = format!("https://mcp.example{WELL_KNOWN}/mcp");
    let elsewhere = "https://elsewhere.example/prm?x=1";
    let settings: [(Settings, &str); 2] = [
        (|it| it, &usual),
        (
            |it| it.resource_metadata_url("https://elsewhere.example/prm?x=1"),
            elsewhere,
        ),
    ];
    for (settings, url) in settings {
        let (world, answers) = refusals(settings).await;
        let mut errors = Vec::new();
        for answer in &answers {
            let challenges = answer.headers.get_all("www-authenticate");
            assert!(challenges.iter().count() > 0, "{}", answer.body);
            for challenge in challenges {
                let challenge = challenge.to_str().unwrap();
                assert!(
                    challenge.contains(&format!("resource_metadata=\"{url}\"")),
                    "{challenge}"
                );
            }
            errors.push(answer.json()["error"].as_str().unwrap_or("none").to_owned());
        }
        for kind in [
            "invalid_token",
            "invalid_dpop_proof",
            "use_dpop_nonce",
            "insufficient_user_authentication",
            "insufficient_scope",
        ] {
            assert!(errors.iter().any(|error| error == kind), "{kind}: {errors:?}");
        }
        let served = world.send(Request::get(format!("{WELL_KNOWN}/mcp")), "").await;
        assert_eq!(served.json()["resource"], RESOURCE);
    }
}

/// Row 36: all of them, and none of none.
#[tokio::test(start_paused = true)]
async fn row_36_scopes_are_all_required_and_none_of_none() {
    let world = World::new();
    let token = world.token_with(&json!({"scope": "mcp:read a b"}));
    let claims = world.guard.verify(&token).await.unwrap();
    assert!(claims.require_scopes([]).is_ok());
    assert!(claims.require_scopes(["a", "b"]).is_ok());
    for asked in [["a", "c"], ["c", "a"], ["c", "d"]] {
        let missing = claims.require_scopes(asked).unwrap_err();
        for scope in asked {
            assert!(missing.needed().contains(scope), "{missing}");
        }
    }
    assert!(claims.require_scopes(["A"]).is_err());
    assert!(claims.require_scopes([""]).is_err());
}

/// As `scope` writes them (RFC 6749 §3.3). What is no scope at all is never there.
#[tokio::test(start_paused = true)]
async fn scopes_with_spaces_between_them_are_several() {
    let world = World::new();
    let token = world.token_with(&json!({"scope": "mcp:read a b"}));
    let claims = world.guard.verify(&token).await.unwrap();
    assert!(claims.require_scope("a b").is_ok());
    assert!(claims.require_scope(" a  b ").is_ok());
    let missing = claims.require_scope("a x").unwrap_err();
    assert!(
        missing.needed().contains("a") && missing.needed().contains("x"),
        "{missing}"
    );
    for no_scope in ["", " ", "a\"", "a \u{e4}"] {
        assert!(claims.require_scope(no_scope).is_err(), "{no_scope:?}");
    }
}

/// Row 56: whatever the method, nothing is reached without a token.
#[tokio::test(start_paused = true)]
async fn row_56_streams_and_the_end_of_sessions_need_a_token_as_well() {
    let world = World::new();
    let methods = [
        "GET", "DELETE", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "QUERY",
    ];
    for method in methods {
        let request = Request::builder().method(method).uri("/mcp");
        let accept = request.header("accept", "text/event-stream");
        let answer = world.send(accept.header("mcp-session-id", "s"), "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method}");
        assert!(answer.challenge().starts_with("Bearer "), "{method}");
    }
    assert_eq!(world.runs(), 0);
    for method in ["GET", "DELETE"] {
        let request = Request::builder().method(method).uri("/mcp");
        let request = request.header("authorization", format!("Bearer {}", world.token()));
        assert_eq!(world.send(request, "").await.status, StatusCode::OK, "{method}");
    }
    assert_eq!(world.runs(), 2);
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting(AtomicUsize);

impl ReplayStore for Counting {
    fn insert(
        &self,
        _: UsedProof,
        _: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(Insertion::New)))
    }
}

/// Row 60: one request, one look into the memory of proofs.
#[tokio::test(start_paused = true)]
async fn row_60_a_request_spends_its_proof_once() {
    let store = Arc::new(Counting::default());
    let client = Bound::with(DpopPolicy::Require, |it| it.dpop_replay_store(store.clone()));
    let token = client.token();
    for number in 1..=3 {
        let proof = client.proof(&token);
        let request = post()
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof);
        let answer = client.world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(store.0.load(Ordering::SeqCst), number);
    }
}

/// Row 62 with bound tokens, two hundred at once: good and bad ones, each with its own claims.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_62_parallel_requests_do_not_mix() {
    let client = Arc::new(Bound::new(DpopPolicy::Accept));
    let requests = (0..200).map(|number| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let subject = format!("user-{number}");
            let token = client.token_with(&json!({"sub": subject}));
            let proof = client.proof(if number % 4 == 0 { "another token" } else { &token });
            let request = post()
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", proof);
            let answer = client.world.send(request, ping_message().to_string()).await;
            assert_eq!(answer.status.is_success(), number % 4 != 0);
            if answer.status.is_success() {
                assert_eq!(answer.json()["subject"], subject);
            }
        })
    });
    for request in join_all(requests).await {
        request.unwrap();
    }
}
