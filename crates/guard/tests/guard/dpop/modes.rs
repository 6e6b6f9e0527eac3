//! What counts under which policy, and what clients are told about it.

use doorward_guard::{Algorithm, BuildError, DpopPolicy, Guard, GuardBuilder, Rejection, VerifyError};
use http::{Request, StatusCode};
use serde_json::json;

use super::Bound;
use crate::support::{ISSUER, METADATA_URL, RESOURCE, call, ping_message, post};

/// Row 37, DPOP-017, DPOP-018, RS-033: policy, scheme, bound, proof; then the status and the error.
const TABLE: [(DpopPolicy, &str, bool, bool, u16, &str); 24] = {
    use DpopPolicy::{Accept, Off, Require};
    [
        (Off, "Bearer", false, false, 200, ""),
        (Off, "Bearer", false, true, 401, "invalid_token"),
        (Off, "Bearer", true, false, 401, "invalid_token"),
        (Off, "Bearer", true, true, 401, "invalid_token"),
        (Off, "DPoP", false, false, 401, "unauthorized"),
        (Off, "DPoP", false, true, 401, "unauthorized"),
        (Off, "DPoP", true, false, 401, "unauthorized"),
        (Off, "DPoP", true, true, 401, "unauthorized"),
        (Accept, "Bearer", false, false, 200, ""),
        (Accept, "Bearer", false, true, 401, "invalid_token"),
        (Accept, "Bearer", true, false, 401, "invalid_token"),
        (Accept, "Bearer", true, true, 401, "invalid_token"),
        (Accept, "DPoP", false, false, 401, "invalid_token"),
        (Accept, "DPoP", false, true, 401, "invalid_token"),
        (Accept, "DPoP", true, false, 401, "invalid_dpop_proof"),
        (Accept, "DPoP", true, true, 200, ""),
        (Require, "Bearer", false, false, 401, "invalid_token"),
        (Require, "Bearer", false, true, 401, "invalid_token"),
        (Require, "Bearer", true, false, 401, "invalid_token"),
        (Require, "Bearer", true, true, 401, "invalid_token"),
        (Require, "DPoP", false, false, 401, "invalid_token"),
        (Require, "DPoP", false, true, 401, "invalid_token"),
        (Require, "DPoP", true, false, 401, "invalid_dpop_proof"),
        (Require, "DPoP", true, true, 200, ""),
    ]
};

#[tokio::test(start_paused = true)]
async fn the_table_of_policy_scheme_binding_and_proof() {
    for (policy, scheme, bound, with_proof, status, error) in TABLE {
        let client = Bound::new(policy);
        let row = format!("{policy:?} {scheme} bound={bound} proof={with_proof}");
        let token = if bound {
            client.token()
        } else {
            client.world.token()
        };
        let proof = client.proof(&token);
        let proofs: &[&str] = if with_proof { &[&proof] } else { &[] };
        // Twice: the second time the token is a remembered one.
        for _ in 0..2 {
            let answer = client.send_as(scheme, &token, proofs, &ping_message()).await;
            if status == 200 {
                assert_eq!((answer.status.as_u16(), client.world.runs()), (200, 1), "{row}");
                break;
            }
            assert_eq!(answer.status.as_u16(), status, "{row}");
            assert_eq!(answer.json()["error"], error, "{row}");
            let schemes: Vec<_> = answer
                .challenges()
                .iter()
                .map(|challenge| challenge.split(' ').next().unwrap())
                .collect();
            let expected: &[&str] = match (policy, error) {
                (_, "invalid_dpop_proof") | (DpopPolicy::Require, _) => &["DPoP"],
                (DpopPolicy::Accept, _) => &["Bearer", "DPoP"],
                _ => &["Bearer"],
            };
            assert_eq!(schemes, expected, "{row}");
            assert_eq!(client.world.runs(), 0, "{row}");
        }
    }
}

/// The scheme's name has no case (RFC 9110 §11.1).
#[tokio::test(start_paused = true)]
async fn the_scheme_may_be_written_in_any_case() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    for scheme in ["DPoP", "dpop", "DPOP"] {
        let proof = client.proof(&token);
        let answer = client.send_as(scheme, &token, &[&proof], &ping_message()).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
    }
}

/// Row 40: Bearer first, `DPoP` after it, each with the way to a token.
#[tokio::test(start_paused = true)]
async fn challenges_name_the_schemes_that_are_taken() {
    let way = format!(r#"resource_metadata="{METADATA_URL}", scope="mcp:read""#);
    let bearer = format!("Bearer {way}");
    let dpop = format!(r#"DPoP algs="ES256 EdDSA RS256 PS256", {way}"#);
    for (policy, expected) in [
        (DpopPolicy::Off, vec![&bearer]),
        (DpopPolicy::Accept, vec![&bearer, &dpop]),
        (DpopPolicy::Require, vec![&dpop]),
    ] {
        let client = Bound::new(policy);
        let answer = client.world.send(post(), ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.challenges(), expected);
    }
    let client = Bound::new(DpopPolicy::Accept);
    let answer = client.world.post("garbage", &ping_message()).await;
    assert!(answer.challenges()[0].starts_with(r#"Bearer error="invalid_token", error_description="#));
    assert!(answer.challenges()[1].starts_with(r#"DPoP error="invalid_token", algs="#));

    let token = client.token();
    let answer = client
        .send(&token, &[&client.proof(&token)], &call("write"))
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let scope = format!(r#"scope="mcp:read mcp:write", resource_metadata="{METADATA_URL}""#);
    let [bearer, dpop] = answer.challenges()[..] else {
        unreachable!("two challenges")
    };
    assert!(
        bearer.starts_with(&format!(r#"Bearer error="insufficient_scope", {scope}"#)),
        "{bearer}"
    );
    let start = format!(r#"DPoP error="insufficient_scope", algs="ES256 EdDSA RS256 PS256", {scope}"#);
    assert!(dpop.starts_with(&start), "{dpop}");
}

/// Row 3.
#[tokio::test(start_paused = true)]
async fn the_metadata_says_what_the_policy_is() {
    for (policy, required) in [
        (DpopPolicy::Off, None),
        (DpopPolicy::Accept, Some(false)),
        (DpopPolicy::Require, Some(true)),
    ] {
        let algorithms = [Algorithm::EdDsa, Algorithm::Es256];
        let client = Bound::with(policy, |builder| builder.dpop_algorithms(algorithms));
        let request = Request::get("/.well-known/oauth-protected-resource/mcp");
        let document = client.world.send(request, "").await.json();
        let member = |name: &str| document.get(name).cloned();
        assert_eq!(
            member("dpop_bound_access_tokens_required"),
            required.map(Into::into)
        );
        let expected = required.map(|_| json!(["EdDSA", "ES256"]));
        assert_eq!(member("dpop_signing_alg_values_supported"), expected);
    }
}

/// Without a request there is no proof to look at.
#[tokio::test(start_paused = true)]
async fn a_token_by_itself_is_a_bearer_token() {
    for policy in [DpopPolicy::Off, DpopPolicy::Accept, DpopPolicy::Require] {
        let client = Bound::new(policy);
        let refused = |rejection| Some(VerifyError::Rejected(rejection));
        for _ in 0..2 {
            let bound = client.world.guard.verify(&client.token()).await;
            assert_eq!(bound.err(), refused(Rejection::SenderConstrained), "{policy:?}");
            let unbound = client.world.guard.verify(&client.world.token()).await;
            let expected = match policy {
                DpopPolicy::Require => refused(Rejection::NotSenderConstrained),
                _ => None,
            };
            assert_eq!(unbound.err(), expected, "{policy:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_sees_the_key_and_neither_token_nor_proof() {
    let client = Bound::new(DpopPolicy::Require);
    let token = client.token();
    let answer = client.ping(&token, &client.proof(&token)).await.json();
    assert_eq!(answer["key_thumbprint"], client.key.public_jwk().thumbprint());
    assert_eq!(
        (&answer["authorization"], &answer["dpop"]),
        (&json!(false), &json!(false))
    );
}

/// RFC 7800 §3.1: another way to confirm than a key's thumbprint is not understood, and not passed over.
#[tokio::test(start_paused = true)]
async fn another_confirmation_method_is_no_bearer_token_and_no_bound_one() {
    let client = Bound::new(DpopPolicy::Accept);
    let thumbprint = client.key.public_jwk().thumbprint();
    for cnf in [
        json!({}),
        json!({"x5t#S256": "x"}),
        json!({"jkt": thumbprint, "x5t#S256": "x"}),
        json!({"jkt": [thumbprint]}),
        json!({"jkt": ""}),
        json!(thumbprint),
        json!([]),
    ] {
        let token = client.world.token_with(&json!({"cnf": cnf}));
        let proof = client.proof(&token);
        for (scheme, proofs) in [("Bearer", &[][..]), ("DPoP", &[proof.as_str()][..])] {
            let answer = client.send_as(scheme, &token, proofs, &ping_message()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{scheme} {cnf}");
            assert_eq!(answer.json()["error"], "invalid_token", "{scheme} {cnf}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_credentials_stay_malformed_under_the_scheme() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    for (values, path) in [
        (vec![format!("DPoP {token}"), format!("Bearer {token}")], "/mcp"),
        (vec![format!("DPoP {token}"), format!("DPoP {token}")], "/mcp"),
        (vec![format!("DPoP  {token}")], "/mcp"),
        (vec![format!("DPoP {token}, Bearer {token}")], "/mcp"),
        (vec![format!("DPoP {token}")], "/mcp?access_token=x"),
    ] {
        let mut request = Request::post(path).header("dpop", client.proof(&token));
        for value in &values {
            request = request.header("authorization", value);
        }
        let answer = client.world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{values:?}");
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let empty = Request::post("/mcp").header("authorization", "DPoP");
    let answer = client.world.send(empty, ping_message().to_string()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"], "invalid_token");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    use std::time::Duration;
    let build = |change: fn(GuardBuilder) -> GuardBuilder| {
        let builder = Guard::builder(ISSUER, RESOURCE).dpop(DpopPolicy::Accept);
        change(builder).build().map(|_| ())
    };
    assert!(build(|builder| builder.dpop_nonces(true)).is_ok());
    assert!(matches!(
        build(|builder| builder.dpop_algorithms([])),
        Err(BuildError::NoAlgorithm)
    ));
    let wrong: [fn(GuardBuilder) -> GuardBuilder; 3] = [
        |builder| builder.dpop_window(Duration::ZERO, Duration::from_mins(1)),
        |builder| builder.dpop_window(Duration::from_hours(2), Duration::from_mins(1)),
        |builder| builder.dpop_window(Duration::from_mins(1), Duration::from_hours(2)),
    ];
    for change in wrong {
        assert!(matches!(build(change), Err(BuildError::DpopWindow)));
    }
}
