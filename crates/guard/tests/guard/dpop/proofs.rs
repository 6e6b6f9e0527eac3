//! Which proof is good for which request.

use std::time::Duration;

use doorward_guard::{Algorithm, DpopPolicy};
use doorward_jose::SigningKey;
use doorward_oauth::dpop::access_token_hash;
use http::{Request, StatusCode};
use serde_json::json;

use super::{Bound, sign_proof, sign_with_header};
use crate::support::{RESOURCE, World, pass, ping_message, post};

/// Row 41 through the layer; the whole battery is in `conformance/dpop.json`.
#[tokio::test(start_paused = true)]
async fn a_proof_for_something_else_does_not_count() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let now = client.world.now();
    for changes in [
        json!({"htm": "GET"}),
        json!({"htm": "post"}),
        json!({"htu": "https://evil.example/mcp"}),
        json!({"htu": "http://mcp.example/mcp"}),
        json!({"htu": "https://mcp.example/mcp/"}),
        json!({"htu": null}),
        json!({"iat": now - 301}),
        json!({"iat": now + 61}),
        json!({"iat": now.to_string()}),
        json!({"exp": now - 60}),
        json!({"jti": ""}),
        json!({"jti": "j".repeat(257)}),
        json!({"jti": null}),
        json!({"ath": null}),
        json!({"ath": access_token_hash("other")}),
    ] {
        let answer = client.ping(&token, &client.proof_with(&token, &changes)).await;
        assert!(
            answer.is_bad_proof("invalid_dpop_proof"),
            "{changes}: {}",
            answer.body
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for changes in [
        json!({"htu": "HTTPS://MCP.example:443/mcp?x=1#f"}),
        json!({"iat": now - 300}),
        json!({"iat": now + 60}),
        json!({"jti": "j".repeat(256)}),
    ] {
        let answer = client.ping(&token, &client.proof_with(&token, &changes)).await;
        assert_eq!(answer.status, StatusCode::OK, "{changes}: {}", answer.body);
    }
    assert_eq!(client.world.runs(), 4);
}

/// Row 9: fixed sentences, nothing of what came in.
#[tokio::test(start_paused = true)]
async fn a_refusal_repeats_nothing_of_the_proof() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let changes = json!({"htu": "https://canary.example/\r\n\"", "jti": "canary"});
    let answer = client.ping(&token, &client.proof_with(&token, &changes)).await;
    assert!(answer.is_bad_proof("invalid_dpop_proof"));
    assert!(!format!("{:?}{}", answer.headers, answer.body).contains("canary"));
    assert!(answer.json()["error_id"].is_string());
}

/// DPOP-012, row 40.
#[tokio::test(start_paused = true)]
async fn there_is_exactly_one_proof() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let (one, other) = (client.proof(&token), client.proof(&token));
    let joined = format!("{one}, {other}");
    for proofs in [
        &[one.as_str(), other.as_str()][..],
        &[joined.as_str()],
        &[""],
        &[],
    ] {
        let answer = client.send(&token, proofs, &ping_message()).await;
        assert!(answer.is_bad_proof("invalid_dpop_proof"), "{proofs:?}");
    }
    let request = post()
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", &b"\xff"[..]);
    let answer = client.world.send(request, ping_message().to_string()).await;
    assert!(answer.is_bad_proof("invalid_dpop_proof"));
    assert_eq!(
        client.ping(&token, &one).await.status,
        StatusCode::OK,
        "none of them was used up"
    );
}

/// DPOP-008 to DPOP-011.
#[tokio::test(start_paused = true)]
async fn a_proof_is_a_proof_by_its_header_and_its_signature() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut private = serde_json::to_value(client.key.public_jwk()).unwrap();
    private["d"] = json!("AAAA");
    let jwk = json!(client.key.public_jwk());
    for header in [
        json!({"typ": "JWT", "alg": "ES256", "jwk": jwk}),
        json!({"alg": "ES256", "jwk": jwk}),
        json!({"typ": "dpop+jwt", "alg": "none", "jwk": jwk}),
        json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk}),
        json!({"typ": "dpop+jwt", "alg": "ES384", "jwk": jwk}),
        json!({"typ": "dpop+jwt", "alg": "ES256"}),
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": private}),
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": stranger.public_jwk()}),
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk, "crit": ["x"]}),
    ] {
        let proof = sign_with_header(&client.key, &header, &client.claims(&token, &json!({})));
        let answer = client.ping(&token, &proof).await;
        assert!(answer.is_bad_proof("invalid_dpop_proof"), "{header}");
    }
    // The access token itself, and the proof as an access token.
    assert!(
        client
            .ping(&token, &token)
            .await
            .is_bad_proof("invalid_dpop_proof")
    );
    let proof = client.proof(&token);
    let answer = client.ping(&proof, &proof).await;
    assert_eq!(answer.json()["error"], "invalid_token");
    assert_eq!(client.world.runs(), 0);
}

/// DPOP-016.
#[tokio::test(start_paused = true)]
async fn the_key_of_the_proof_is_the_key_of_the_token() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let thief = SigningKey::generate(Algorithm::Es256).unwrap();
    let proof = sign_proof(&thief, &client.claims(&token, &json!({})));
    let answer = client.ping(&token, &proof).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"], "invalid_token");
    assert!(answer.challenges()[1].starts_with(r#"DPoP error="invalid_token", algs="#));
    assert_eq!(client.world.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_allowed_algorithm_works_in_proofs() {
    for algorithm in Algorithm::ALL {
        let mut client = Bound::new(DpopPolicy::Accept);
        client.key = SigningKey::generate(algorithm).unwrap();
        let token = client.token();
        let answer = client.ping(&token, &client.proof(&token)).await;
        let allowed = ["ES256", "EdDSA", "RS256", "PS256"].contains(&algorithm.as_str());
        assert_eq!(answer.status == StatusCode::OK, allowed, "{algorithm}");
    }
}

/// DPOP-005, RS-034, row 43: what a request says about its host counts for nothing.
#[tokio::test(start_paused = true)]
async fn the_uri_comes_from_the_settings() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    for (htu, expected) in [
        (RESOURCE, 200),
        ("https://evil.example/mcp", 401),
        ("http://127.0.0.1:1/mcp", 401),
    ] {
        let request = post()
            .uri("http://127.0.0.1:1/mcp?session=1")
            .header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("forwarded", "host=evil.example;proto=http")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", client.proof_with(&token, &json!({"htu": htu})));
        let answer = client.world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status.as_u16(), expected, "{htu}");
    }
}

/// A router that cuts paths, and a proxy that rewrites them: proofs are for what the client sees.
#[tokio::test(start_paused = true)]
async fn the_path_is_the_one_that_the_client_sees() {
    let client = Bound::new(DpopPolicy::Accept);
    let inside = || axum::routing::any(|| async {});
    let guard = client.world.guard.clone();
    let nested = axum::Router::new().nest(
        "/mcp",
        axum::Router::new()
            .route("/{*rest}", inside())
            .layer(guard.layer()),
    );
    let rewritten = guard.protect("/internal", inside());
    let below = axum::Router::new()
        .route("/x/{*rest}", inside())
        .layer(guard.layer().served_at("/x"));
    let client = Bound {
        world: World {
            app: nested.merge(rewritten).merge(below),
            ..client.world
        },
        ..client
    };
    for (path, htu, expected) in [
        ("/mcp/a%2Fb", "https://mcp.example/mcp/a%2fb", 200),
        ("/mcp/a%2Fb", "https://mcp.example/mcp/a/b", 401),
        ("/mcp/a%2Fb", "https://mcp.example/a%2Fb", 401),
        ("/internal", RESOURCE, 200),
        ("/internal", "https://mcp.example/internal", 401),
        ("/x/tools", "https://mcp.example/mcp/tools", 200),
        ("/x/tools", "https://mcp.example/x/tools", 401),
    ] {
        let token = client.token();
        let request = Request::post(path)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", client.proof_with(&token, &json!({"htu": htu})));
        let answer = client.world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status.as_u16(), expected, "{path} {htu}");
    }
}

/// A route with a wildcard: what is before it is where the server is, unless the wildcard takes the public path as it is.
#[tokio::test(start_paused = true)]
async fn the_rewriting_of_a_proxy_is_undone_before_a_wildcard_too() {
    for (route, path, htu, expected) in [
        ("/inside/{*rest}", "/inside/x", "https://mcp.example/mcp/x", 200),
        (
            "/inside/{*rest}",
            "/inside/x",
            "https://mcp.example/inside/x",
            401,
        ),
        ("/mcp/{*rest}", "/mcp/x", "https://mcp.example/mcp/x", 200),
        ("/{*rest}", "/mcp", RESOURCE, 200),
        ("/{*rest}", "/mcp/x", "https://mcp.example/mcp/x", 200),
        ("/{*rest}", "/mcp/x", "https://mcp.example/mcp/mcp/x", 401),
    ] {
        let client = Bound::new(DpopPolicy::Accept);
        let app = client.world.guard.protect(route, axum::routing::any(async || {}));
        let client = Bound {
            world: World { app, ..client.world },
            ..client
        };
        let token = client.token();
        let request = Request::post(path)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", client.proof_with(&token, &json!({"htu": htu})));
        let answer = client.world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status.as_u16(), expected, "{route} {path} {htu}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_can_be_narrowed() {
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_window(Duration::from_secs(30), Duration::from_secs(5))
    });
    let token = client.token();
    for (seconds, expected) in [(-30, 200), (-31, 401), (5, 200), (6, 401)] {
        let changes = json!({"iat": client.world.now() + seconds});
        let answer = client.ping(&token, &client.proof_with(&token, &changes)).await;
        assert_eq!(answer.status.as_u16(), expected, "{seconds}");
    }
}

/// RS-15, RS-16: a binding to a key changes nothing about sessions; every method needs a proof of its own.
#[tokio::test(start_paused = true)]
async fn every_method_needs_its_own_proof() {
    let client = Bound::new(DpopPolicy::Require);
    let token = client.token();
    for method in ["GET", "DELETE", "HEAD", "OPTIONS"] {
        for (htm, expected) in [(method, 200), ("POST", 401)] {
            let request = Request::builder()
                .method(method)
                .uri("/mcp")
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", client.proof_with(&token, &json!({"htm": htm})));
            let answer = client.world.send(request, "").await;
            assert_eq!(answer.status.as_u16(), expected, "{method} {htm}");
        }
    }
    pass(1).await;
}
