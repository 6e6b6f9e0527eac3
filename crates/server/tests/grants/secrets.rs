//! Client secrets: how they are kept, and how they change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_jose::sha256;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{Machine, TOKEN, access_token, admin, app, assert_unauthenticated, machine};
use crate::support::{RESOURCE, TestApp};

async fn rotate(app: &TestApp, machine: &Machine, body: Value) -> Machine {
    let path = format!("/admin/clients/{}/rotate-secret", machine.client_id);
    let reply = admin(app, "POST", &path, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    Machine {
        client_id: machine.client_id.clone(),
        secret: reply.json()["client_secret"].as_str().map(str::to_owned),
    }
}

/// CAUTH-015.
#[tokio::test]
async fn an_old_secret_works_for_as_long_as_it_was_said() {
    let app = app().await;
    let old = machine(&app, json!({})).await;
    let shown = async || {
        let path = format!("/admin/clients/{}", old.client_id);
        let client = admin(&app, "GET", &path, Value::Null).await.json();
        client["previous_secret_expires_at"].as_i64()
    };
    assert_eq!(shown().await, None);
    let new = rotate(&app, &old, json!({"overlap_seconds": 600})).await;
    let end = app.context.now().seconds() + 600;
    access_token(&old.own(&app, &[]).await);
    access_token(&new.own(&app, &[]).await);
    assert_eq!(shown().await, Some(end));
    app.wait(601);
    assert_unauthenticated(&old.own(&app, &[]).await);
    assert_eq!(shown().await, None);
    access_token(&new.own(&app, &[]).await);
    let newest = rotate(&app, &new, json!({"overlap_seconds": 0})).await;
    assert_unauthenticated(&new.own(&app, &[]).await);
    let after = rotate(&app, &newest, Value::Null).await;
    app.wait(86_399);
    access_token(&newest.own(&app, &[]).await);
    access_token(&after.own(&app, &[]).await);
    app.wait(2);
    assert_unauthenticated(&newest.own(&app, &[]).await);
    let path = format!("/admin/clients/{}/rotate-secret", old.client_id);
    for body in [json!({"overlap_seconds": 2_592_001}), json!({"overlap": "1d"})] {
        let refused = admin(&app, "POST", &path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
}

/// Which secret is in use nobody knows when answers were lost: rotating again takes none of them away, and lengthens none.
#[tokio::test]
async fn rotating_again_after_a_lost_answer_keeps_the_secret_in_use_and_lengthens_none() {
    let app = app().await;
    let in_use = machine(&app, json!({})).await;
    rotate(&app, &in_use, json!({"overlap_seconds": 600})).await;
    app.wait(300);
    let seen = rotate(&app, &in_use, json!({"overlap_seconds": 3600})).await;
    access_token(&in_use.own(&app, &[]).await);
    access_token(&seen.own(&app, &[]).await);
    app.wait(301);
    assert_unauthenticated(&in_use.own(&app, &[]).await);
    access_token(&seen.own(&app, &[]).await);
    // A shorter overlap counts for all of them, none for all at once.
    let shorter = rotate(&app, &seen, json!({"overlap_seconds": 60})).await;
    access_token(&seen.own(&app, &[]).await);
    let newest = rotate(&app, &shorter, json!({"overlap_seconds": 0})).await;
    for ended in [&in_use, &seen, &shorter] {
        assert_unauthenticated(&ended.own(&app, &[]).await);
    }
    access_token(&newest.own(&app, &[]).await);
}

#[tokio::test]
async fn five_old_secrets_work_beside_a_new_one_and_no_more() {
    let app = app().await;
    let mut all = vec![machine(&app, json!({})).await];
    for _ in 0..6 {
        let next = rotate(&app, &all[0], Value::Null).await;
        all.push(next);
    }
    let (oldest, kept) = all.split_first().unwrap();
    assert_unauthenticated(&oldest.own(&app, &[]).await);
    for machine in kept {
        access_token(&machine.own(&app, &[]).await);
    }
    let stored = app.context.store.client(&oldest.client_id).await.unwrap();
    assert_eq!(stored.unwrap().secrets.len(), 6);
    // What has ended goes with the next rotation.
    app.wait(86_401);
    rotate(&app, oldest, Value::Null).await;
    let stored = app.context.store.client(&oldest.client_id).await.unwrap();
    assert_eq!(stored.unwrap().secrets.len(), 2);
}

/// CAUTH-017.
#[tokio::test]
async fn what_is_stored_of_a_secret_is_keyed() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let secret = machine.secret.unwrap();
    assert_eq!(secret.len(), "dwsec_".len() + 43, "256 bits");
    let stored = app
        .context
        .store
        .client(&machine.client_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.secrets.len(), 1);
    assert_ne!(stored.secrets[0].digest, sha256(secret.as_bytes()));
    assert!(!stored.metadata.contains(&secret));
}

/// CAUTH-002, CAUTH-004, CAUTH-006, CAUTH-007, CAUTH-012.
#[tokio::test]
async fn basic_credentials() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let secret = machine.secret.as_deref().unwrap();
    let good = basic(format!("{}:{secret}", machine.client_id));
    let ask = async |authorization: &str, client_id: Option<&str>| {
        let mut form = vec![("grant_type", "client_credentials"), ("resource", RESOURCE)];
        form.extend(client_id.map(|client_id| ("client_id", client_id)));
        let headers = [("authorization", authorization)];
        app.browser().post_pairs(TOKEN, &headers, &form).await
    };
    access_token(&ask(&good, None).await);
    access_token(&ask(&good, Some(&machine.client_id)).await);
    access_token(&ask(&good.replace("Basic", "basic"), None).await);
    let wrong = ask(&basic(format!("{}:wrong", machine.client_id)), None).await;
    assert_unauthenticated(&wrong);
    assert!(wrong.header("www-authenticate").starts_with("Basic realm="));
    let unknown = ask(&basic("nope:x".to_owned()), None).await;
    assert_unauthenticated(&unknown);
    assert_eq!(
        unknown.json()["error_description"],
        wrong.json()["error_description"]
    );
    ask(&good, Some("somebody else"))
        .await
        .assert_error("invalid_request");
    for malformed in ["Basic !!!", "Basic", "Bearer x", "Basic eA=="] {
        assert_unauthenticated(&ask(malformed, None).await);
    }
}
