//! The proofs of `conformance/dpop.json`, as the header of a request that a whole guard judges.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_guard::verifiers::StaticTokenVerifier;
use doorward_guard::{Algorithm, DpopPolicy, Guard, Head, TokenClaims};
use doorward_jose::{Jwk, base64url};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::{At, vectors};
use crate::support::{FakeServer, ISSUER, ping_message};

#[derive(Deserialize)]
struct Vectors {
    proofs: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    title: String,
    method: String,
    uri: String,
    access_token: Option<String>,
    now: i64,
    algorithms: Option<Vec<Algorithm>>,
    max_age: Option<u64>,
    max_ahead: Option<u64>,
    nonces: Option<Keys>,
    proof: String,
    accepted: bool,
    jkt: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    current: String,
    previous: Option<String>,
}

fn key(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// The key that the proof brings along, so that nothing but the proof is wrong.
fn thumbprint(proof: &str) -> Option<String> {
    let header = base64url::decode(proof.split('.').next()?).ok()?;
    let header: HashMap<String, Value> = serde_json::from_slice(&header).ok()?;
    let mut jwk = header.get("jwk")?.as_object()?.clone();
    // A private key is the same key, and is refused for being one.
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        jwk.remove(member);
    }
    let jwk = Jwk::from_value(&Value::Object(jwk)).ok()?;
    Some(jwk.thumbprint().to_owned())
}

/// Status, error and nonce of the answer.
async fn judged(case: &Case, token: &str) -> (StatusCode, Option<String>) {
    let bound_to = case.jkt.clone().or_else(|| thumbprint(&case.proof));
    let mut claims = TokenClaims::new(ISSUER, "alice", "client-1", TokenClaims::NEVER);
    claims.key_thumbprint = Some(bound_to.unwrap_or_else(|| "A".repeat(43)));
    let clock = Arc::new(At(case.now));
    let verifier = StaticTokenVerifier::new([(token, claims)]).unwrap();
    let (method, uri): (Method, Uri) = (case.method.parse().unwrap(), case.uri.parse().unwrap());
    let authority = uri.authority().unwrap();
    let mut builder = Guard::builder(ISSUER, format!("https://{authority}"))
        .verifier(verifier.clock(clock.clone()))
        .fetch(Arc::new(FakeServer::default()))
        .clock(clock)
        .dpop(DpopPolicy::Require)
        .dpop_window(
            Duration::from_secs(case.max_age.unwrap_or(300)),
            Duration::from_secs(case.max_ahead.unwrap_or(60)),
        );
    if let Some(algorithms) = &case.algorithms {
        builder = builder.dpop_algorithms(algorithms.iter().copied());
    }
    if let Some(keys) = &case.nonces {
        builder = builder
            .dpop_nonces(true)
            .dpop_nonce_keys(key(&keys.current), keys.previous.as_deref().map(key));
    }
    let guard = builder.build().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("DPoP {token}").parse().unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("dpop", HeaderValue::from_str(&case.proof).unwrap());
    let path: Uri = uri.path().parse().unwrap();
    let head = Head::new(&method, &path, &headers);
    let answer = match guard.admit(head).await {
        Err(answer) => answer,
        Ok(mut visit) => {
            let message = ping_message().to_string();
            let body: &[u8] = if method == Method::POST {
                message.as_bytes()
            } else {
                b""
            };
            match visit.authorize(body).await {
                Ok(()) => return (StatusCode::OK, None),
                Err(answer) => answer,
            }
        }
    };
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    (answer.status(), body["error"].as_str().map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn proofs_are_judged_as_the_vectors_say() {
    let cases = vectors::<Vectors>("dpop.json").proofs;
    let mut run = 0;
    for case in &cases {
        // The others are for token endpoints, or cannot be in a header.
        let Some(token) = &case.access_token else {
            continue;
        };
        if HeaderValue::from_str(&case.proof).is_err() {
            assert!(!case.accepted);
            continue;
        }
        run += 1;
        let expected = if case.accepted {
            (StatusCode::OK, None)
        } else {
            (StatusCode::UNAUTHORIZED, case.error.clone())
        };
        assert_eq!(judged(case, token).await, expected, "{}", case.title);
    }
    assert!(run > 140, "{run}");
}
