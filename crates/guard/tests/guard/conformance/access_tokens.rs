//! `access-token.json`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use doorward_guard::{Algorithm, Guard, Rejection, VerifyError};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{At, vectors};
use crate::support::{AS_METADATA, Behaviour, FakeServer, JWKS, answer, ping_message, post};

#[derive(Deserialize)]
struct AccessTokens {
    issuer: String,
    resource: String,
    now: i64,
    algorithms: Vec<String>,
    jwks: Value,
    cases: Vec<TokenCase>,
}

#[derive(Deserialize)]
struct TokenCase {
    id: String,
    title: String,
    token: String,
    accepted: bool,
    reason: Option<String>,
    clock_skew: Option<u64>,
    algorithms: Option<Vec<String>>,
}

impl AccessTokens {
    fn guard(&self, case: &TokenCase) -> Guard {
        let server = Arc::new(FakeServer::default());
        let metadata = json!({"issuer": self.issuer, "jwks_uri": JWKS});
        server.publish(AS_METADATA, Behaviour::Json(metadata));
        server.publish(JWKS, Behaviour::Json(self.jwks.clone()));
        let algorithms = case.algorithms.as_ref().unwrap_or(&self.algorithms);
        let algorithms = algorithms.iter().map(|name| name.parse::<Algorithm>().unwrap());
        Guard::builder(&self.issuer, &self.resource)
            .algorithms(algorithms)
            .clock_skew(Duration::from_secs(case.clock_skew.unwrap_or(60)))
            .clock(Arc::new(At(self.now)))
            .fetch(server)
            .build()
            .unwrap()
    }
}

/// `NotYetValid` as `not_yet_valid`.
fn snake_case(reason: Rejection) -> String {
    let mut name = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[tokio::test(start_paused = true)]
async fn access_tokens_are_judged_as_the_vectors_say() {
    let vectors: AccessTokens = vectors("access-token.json");
    assert!(vectors.cases.len() > 250, "too few vectors");
    let mut failures = Vec::new();
    for case in &vectors.cases {
        let guard = vectors.guard(case);
        let verdict = match guard.verify(&case.token).await {
            Ok(_) => None,
            Err(VerifyError::Rejected(reason)) => Some(snake_case(reason)),
            Err(other) => Some(other.to_string()),
        };
        if verdict != case.reason || verdict.is_none() != case.accepted {
            failures.push(format!("{} {}: {verdict:?}", case.id, case.title));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The same over HTTP: nothing of the token comes back, and whatever is wrong with it, the answer is one.
#[tokio::test(start_paused = true)]
async fn a_refused_token_gets_one_answer_whatever_is_wrong_with_it() {
    let vectors: AccessTokens = vectors("access-token.json");
    let mut failures = Vec::new();
    for case in &vectors.cases {
        let Ok(authorization) = HeaderValue::from_str(&format!("Bearer {}", case.token)) else {
            continue; // No header can hold it.
        };
        let app: Router = vectors
            .guard(case)
            .protect("/mcp", axum::routing::any(async || "inside"));
        let request = post().header("authorization", authorization);
        let request = request.body(Body::from(ping_message().to_string())).unwrap();
        let response = app.oneshot(request);
        let response = answer(response.await.unwrap()).await;
        let expected = match (case.accepted, case.token.contains(' ')) {
            (true, _) => StatusCode::OK,
            // More than one token (RFC 6750 §2.1, §3.1).
            (false, true) => StatusCode::BAD_REQUEST,
            (false, false) => StatusCode::UNAUTHORIZED,
        };
        if response.status != expected {
            failures.push(format!("{} {}: {}", case.id, case.title, response.status));
        } else if response.status == StatusCode::UNAUTHORIZED {
            let error = response.json()["error"].clone();
            if error != "invalid_token" || !response.challenge().contains("error=\"invalid_token\"") {
                failures.push(format!("{} {}: {error}", case.id, case.title));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
