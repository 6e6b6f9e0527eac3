//! `content_digest`: a proof that is for one body (a draft of MCP's profile of `DPoP`; RFC 9530).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_guard::DpopPolicy;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Bound;
use crate::support::{call, ping_message};

fn digest(body: &str) -> String {
    format!(
        "sha-256=:{}:",
        STANDARD.encode(doorward_jose::sha256(body.as_bytes()))
    )
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_names_its_body_counts_for_that_body_alone() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let message = ping_message();
    let (good, other) = (digest(&message.to_string()), digest(&call("write").to_string()));
    for (claim, is_good) in [
        (Value::Null, true),
        (json!(good), true),
        (json!(format!("sha-512=:AAAA:, {good}")), true),
        (json!(format!("{good}, {good}")), true),
        (json!(other), false),
        (json!(format!("{good}, {other}")), false),
        (json!(digest("")), false),
        (json!(""), false),
        (json!("sha-256"), false),
        (json!("sha-512=:AAAA:"), false),
        (json!(good.replace("=:", ":")), false),
        (json!(good.to_uppercase()), false),
        (json!(good.trim_end_matches(':')), false),
        (json!([good]), false),
        (json!({"sha-256": good}), false),
    ] {
        let proof = client.proof_with(&token, &json!({ "content_digest": claim }));
        let answer = client.send(&token, &[&proof], &message).await;
        if is_good {
            assert_eq!(answer.status, StatusCode::OK, "{claim}");
        } else {
            assert!(
                answer.is_bad_proof("invalid_dpop_proof"),
                "{claim}: {}",
                answer.body
            );
        }
    }
    assert!(client.world.guard.metrics().refused["proof_content"] >= 8);
}

/// What is refused for its body spends nothing: the same proof counts with the right one.
#[tokio::test(start_paused = true)]
async fn a_proof_with_another_body_is_not_spent() {
    let client = Bound::new(DpopPolicy::Accept);
    let token = client.token();
    let message = ping_message();
    let proof = client.proof_with(&token, &json!({"content_digest": digest(&message.to_string())}));
    let wrong = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let refused = client.send(&token, &[&proof], &wrong).await;
    assert!(refused.is_bad_proof("invalid_dpop_proof"), "{}", refused.body);
    assert!(refused.body.contains("content_digest"), "{}", refused.body);
    assert_eq!(
        client.send(&token, &[&proof], &message).await.status,
        StatusCode::OK
    );
    assert!(
        client
            .send(&token, &[&proof], &message)
            .await
            .is_bad_proof("invalid_dpop_proof")
    );
}

#[tokio::test(start_paused = true)]
async fn where_it_is_required_a_body_needs_its_digest() {
    let client = Bound::with(DpopPolicy::Accept, |it| it.dpop_content_digest(true));
    let token = client.token();
    let message = ping_message();
    let refused = client.send(&token, &[&client.proof(&token)], &message).await;
    assert!(refused.is_bad_proof("invalid_dpop_proof"), "{}", refused.body);
    let proof = client.proof_with(&token, &json!({"content_digest": digest(&message.to_string())}));
    assert_eq!(
        client.send(&token, &[&proof], &message).await.status,
        StatusCode::OK
    );
    // Without a body there is nothing to name.
    let proof = client.proof_with(&token, &json!({"htm": "GET"}));
    let request = http::Request::builder().method(Method::GET).uri("/mcp");
    let request = request
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof);
    assert_eq!(client.world.send(request, "").await.status, StatusCode::OK);
}
