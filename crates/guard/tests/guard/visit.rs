//! The way of a request without a framework.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_guard::client::ClientAuth;
use doorward_guard::{
    DpopPolicy, Head, Insertion, Reason, Rejection, ReplayStore, ReplayStoreUnavailable, Revocation,
    UnixSeconds, UsedProof,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::json;

use crate::dpop::Bound;
use crate::revocation::support::{FakeEndpoints, INTROSPECT};
use crate::support::{AS_METADATA, Behaviour, ISSUER, JWKS, World, call, pass, ping_message};

const POST: &Method = &Method::POST;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A bound token and a proof.
fn bound(token: &str, proof: &str) -> HeaderMap {
    headers(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
}

fn head<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Head<'r> {
    Head::new(POST, uri, headers)
}

/// Another language polls once inline: the head, the body and the proof of a good request have nothing to wait for.
#[test]
fn a_good_request_completes_at_once_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (client, bearer, token, proof) = runtime.block_on(async {
        let client = Bound::new(DpopPolicy::Accept);
        // Fetches the keys.
        assert_eq!(client.world.ping(&client.world.token()).await, StatusCode::OK);
        let (bearer, token) = (client.world.token_with(&json!({"jti": "t-2"})), client.token());
        let proof = client.proof(&token);
        (client, bearer, token, proof)
    });
    let guard = &client.world.guard;
    let uri = Uri::from_static("/mcp");
    let bearer_headers = headers(&[("authorization", &format!("Bearer {bearer}"))]);
    let dpop_headers = bound(&token, &proof);
    for request_headers in [&bearer_headers, &dpop_headers] {
        let admitted = guard.admit(head(&uri, request_headers)).now_or_never().unwrap();
        let mut visit = admitted.unwrap();
        assert_eq!(visit.claims().subject, "alice");
        let body = ping_message().to_string();
        let authorized = visit.authorize(body.as_bytes()).now_or_never().unwrap();
        assert_eq!(authorized.map_err(|answer| answer.status()), Ok(()));
        let mut request_headers = request_headers.clone();
        visit.strip(&mut request_headers);
        assert!(request_headers.is_empty());
    }
    let again = guard.admit(head(&uri, &dpop_headers)).now_or_never().unwrap();
    let replayed = again
        .unwrap()
        .authorize(ping_message().to_string().as_bytes())
        .now_or_never()
        .unwrap();
    assert_eq!(replayed.unwrap_err().status(), StatusCode::UNAUTHORIZED);
    // The tokens are remembered, so even the signature is checked without a runtime or not at all.
    assert!(guard.verify(&bearer).now_or_never().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_answered_whole_and_spends_no_proof() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let request_headers = bound(&token, &client.proof(&token));
    let uri = Uri::from_static("/mcp");
    let guard = &client.world.guard;
    for _ in 0..2 {
        let mut visit = guard.admit(head(&uri, &request_headers)).await.unwrap();
        let refused = visit.authorize(call("write").to_string().as_bytes()).await;
        let answer = refused.unwrap_err();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(
            answer.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .contains("mcp:read mcp:write")
        );
        assert!(!answer.body().is_empty());
    }
    let mut visit = guard.admit(head(&uri, &request_headers)).await.unwrap();
    assert!(
        visit
            .authorize(ping_message().to_string().as_bytes())
            .await
            .is_ok()
    );
}

/// However the first answer came to be: the same visit has nothing but a used proof left.
#[tokio::test(start_paused = true)]
async fn a_spent_proof_asked_twice_is_refused_twice() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let request_headers = bound(&token, &client.proof(&token));
    let uri = Uri::from_static("/mcp");
    let guard = &client.world.guard;
    let body = ping_message().to_string();
    let mut first = guard.admit(head(&uri, &request_headers)).await.unwrap();
    let mut replayed = guard.admit(head(&uri, &request_headers)).await.unwrap();
    assert!(first.authorize(body.as_bytes()).await.is_ok());
    for visit in [&mut replayed, &mut first] {
        for _ in 0..2 {
            assert!(visit.has_proof_to_spend());
            let answer = visit.authorize(body.as_bytes()).await.unwrap_err();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }
}

/// Answers after a while, if at all.
#[derive(Default)]
struct Slow {
    known: Mutex<Vec<[u8; 32]>>,
    down: AtomicBool,
}

impl ReplayStore for Slow {
    fn insert(
        &self,
        proof: UsedProof,
        _now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.down.load(Ordering::Relaxed) {
                let retry_after = Duration::from_secs(7);
                return Err(ReplayStoreUnavailable { retry_after });
            }
            let mut known = self.known.lock().unwrap();
            if known.contains(&proof.id) {
                return Ok(Insertion::Replayed);
            }
            known.push(proof.id);
            Ok(Insertion::New)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_cancelled_or_failed_authorize_spends_the_proof() {
    let store = Arc::new(Slow::default());
    let client = Bound::with(DpopPolicy::Accept, |it| it.dpop_replay_store(store.clone()));
    let token = client.token();
    let guard = &client.world.guard;
    let uri = Uri::from_static("/mcp");
    let body = ping_message().to_string();
    for (turn, fails) in [false, true].into_iter().enumerate() {
        let request_headers = bound(&token, &client.proof(&token));
        let mut visit = guard.admit(head(&uri, &request_headers)).await.unwrap();
        if fails {
            store.down.store(true, Ordering::Relaxed);
            let answer = visit.authorize(body.as_bytes()).await.unwrap_err();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            store.down.store(false, Ordering::Relaxed);
        } else {
            assert!(visit.authorize(body.as_bytes()).now_or_never().is_none());
        }
        assert!(visit.has_proof_to_spend());
        assert_eq!(store.known.lock().unwrap().len(), turn);
        assert!(visit.authorize(body.as_bytes()).await.is_ok());
        assert_eq!(store.known.lock().unwrap().len(), turn + 1);
        let mut again = guard.admit(head(&uri, &request_headers)).await.unwrap();
        let replayed = again.authorize(body.as_bytes()).await.unwrap_err();
        assert_eq!(replayed.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_pages_can_be_read_by_them() {
    let world = World::new();
    let uri = Uri::from_static("/mcp");
    let own = "https://mcp.example";
    let refused = world.guard.admit(head(&uri, &headers(&[("origin", own)]))).await;
    let answer = refused.unwrap_err();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["access-control-allow-origin"], own);
    let foreign = headers(&[("origin", "https://evil.example")]);
    let answer = world.guard.admit(head(&uri, &foreign)).await.unwrap_err();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let asks = headers(&[("origin", own), ("access-control-request-method", "POST")]);
    let preflight = Head::new(&Method::OPTIONS, &uri, &asks);
    assert_eq!(
        world.guard.admit(preflight).await.unwrap_err().status(),
        StatusCode::NO_CONTENT
    );
    let authorization = format!("Bearer {}", world.token());
    let good = headers(&[("origin", own), ("authorization", &authorization)]);
    let visit = world.guard.admit(head(&uri, &good)).await.unwrap();
    let mut answer_headers = HeaderMap::new();
    visit.leave(StatusCode::OK, &mut answer_headers);
    assert_eq!(answer_headers["access-control-allow-origin"], own);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_answered_at_its_paths_only() {
    let guard = World::new().guard;
    let at = |method: Method, path| guard.metadata_answer(&method, path).map(|answer| answer.status());
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        assert_eq!(at(Method::GET, path), Some(StatusCode::OK));
        assert_eq!(at(Method::HEAD, path), Some(StatusCode::OK));
        assert_eq!(at(Method::OPTIONS, path), Some(StatusCode::NO_CONTENT));
        assert_eq!(at(Method::POST, path), Some(StatusCode::METHOD_NOT_ALLOWED));
    }
    for path in [
        "/mcp",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/other",
    ] {
        assert_eq!(at(Method::GET, path), None, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_and_its_proof_can_be_verified_without_http_once() {
    let client = Bound::new(DpopPolicy::Accept);
    let guard = &client.world.guard;
    let token = client.token();
    let proof = client.proof(&token);
    let verify = async |token: &str, proof: &str, method: &Method, path: &str| {
        let verified = guard.verify_dpop(token, proof, method, path).await;
        verified
            .map(|claims| claims.subject.clone())
            .map_err(|denied| denied.reason())
    };
    for (method, path) in [(&Method::GET, "/mcp"), (POST, "/other")] {
        let refused = verify(&token, &proof, method, path).await.unwrap_err();
        assert!(matches!(refused, Reason::Proof(_)), "{refused:?}");
    }
    let unbound = client.world.token();
    let not_bound = Err(Reason::Token(Rejection::NotSenderConstrained));
    assert_eq!(verify(&unbound, &proof, POST, "/mcp").await, not_bound);
    assert_eq!(verify(&token, &proof, POST, "/mcp").await, Ok("alice".to_owned()));
    assert_eq!(
        verify(&token, &proof, POST, "/mcp").await,
        Err(Reason::ProofReplayed)
    );
    let off = World::new().guard;
    let refused = off.verify_dpop(&token, &proof, POST, "/mcp").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Token(Rejection::NotSenderConstrained));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_worth_nothing_with_its_proof() {
    let endpoints = Arc::new(FakeEndpoints::default());
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        builder
            .client_auth(ClientAuth::basic("guard", "secret"))
            .revocation(Revocation::introspection())
    });
    client.world.server.answer_by(endpoints.clone());
    client.world.server.publish(
        AS_METADATA,
        Behaviour::Json(json!({
            "issuer": ISSUER, "jwks_uri": JWKS, "introspection_endpoint": INTROSPECT,
        })),
    );
    let guard = &client.world.guard;
    for (active, jti) in [(true, "t-1"), (false, "t-2")] {
        endpoints.active(active);
        let token = client.token_with(&json!({"jti": jti}));
        let verified = guard
            .verify_dpop(&token, &client.proof(&token), POST, "/mcp")
            .await;
        let expected = if active {
            Ok("alice".to_owned())
        } else {
            Err(Reason::Token(Rejection::Revoked))
        };
        let verified = verified
            .map(|claims| claims.subject.clone())
            .map_err(|denied| denied.reason());
        assert_eq!(verified, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_nonce_comes_with_the_denial() {
    let client = Bound::with(DpopPolicy::Accept, |builder| builder.dpop_nonces(true));
    let token = client.token();
    let proof = client.proof(&token);
    let guard = &client.world.guard;
    let denied = guard.verify_dpop(&token, &proof, POST, "/mcp").await.unwrap_err();
    assert_eq!(denied.reason().as_str(), "proof_nonce");
    let nonce = denied.nonce().unwrap().to_str().unwrap();
    let proof = client.proof_with(&token, &json!({"nonce": nonce}));
    assert!(guard.verify_dpop(&token, &proof, POST, "/mcp").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_outlives_its_token_and_the_skew() {
    let world = World::with(|builder| builder.clock_skew(Duration::from_secs(30)));
    let token = world.token();
    let request_headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let uri = Uri::from_static("/mcp");
    let visit = world.guard.admit(head(&uri, &request_headers)).await.unwrap();
    pass(329).await;
    assert!(!visit.has_expired());
    pass(1).await;
    assert!(visit.has_expired());
}
