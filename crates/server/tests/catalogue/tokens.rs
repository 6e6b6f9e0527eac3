//! INTR, REV, TX and DPOP: what happens to tokens afterwards.

use doorward_jose::{Algorithm, base64url};
use http::StatusCode;
use serde_json::{Value, json};

use crate::connected::{basic, code, confidential, redemption, refresh, resource_server, text, tokens};
use crate::machine::{ACCESS_TOKEN, EXCHANGE, TOKEN, access_token, admin, app, fresh, key, proof_with};
use crate::support::{RESOURCE, Reply, TestApp};

const INTROSPECT: &str = "/oauth/introspect";
const REVOKE: &str = "/oauth/revoke";

async fn ask(app: &TestApp, authorization: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Reply {
    let headers = [&[("authorization", authorization)], headers].concat();
    app.browser().post_pairs(INTROSPECT, &headers, form).await
}

async fn is_active(app: &TestApp, authorization: &str, token: &str) -> Value {
    ask(app, authorization, &[], &[("token", token)]).await.json()["active"].clone()
}

/// INTR-008: a hint is a hint (RFC 7662 §2.1).
#[tokio::test]
async fn a_wrong_hint_changes_nothing() {
    let app = app().await;
    let client = confidential(&app).await;
    let guard = basic(&resource_server(&app, "mcp").await);
    let body = tokens(&app, &client).await;
    for hint in ["refresh_token", "zzz", "", "access_token"] {
        let form = [("token", text(&body, "access_token")), ("token_type_hint", hint)];
        assert_eq!(
            ask(&app, &guard, &[], &form).await.json()["active"],
            true,
            "{hint}"
        );
        let form = [("token", text(&body, "refresh_token")), ("token_type_hint", hint)];
        assert_eq!(
            ask(&app, &guard, &[], &form).await.json(),
            json!({"active": false})
        );
    }
}

/// INTR-013, INTR-014, INTR-015: JSON and nothing else; no bearer token asks; what is too large is refused.
#[tokio::test]
async fn introspection_answers_clients_in_json() {
    let app = app().await;
    let client = confidential(&app).await;
    let guard = basic(&resource_server(&app, "mcp").await);
    let body = tokens(&app, &client).await;
    let token = text(&body, "access_token");
    let signed = [("accept", "application/token-introspection+jwt")];
    let reply = ask(&app, &guard, &signed, &[("token", token)]).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert!(reply.header("content-type").starts_with("application/json"));
    let own = access_token(&client.own(&app, &[]).await);
    for bearer in [token, &own, "garbage"] {
        let reply = ask(&app, &format!("Bearer {bearer}"), &[], &[("token", token)]).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
    }
    let large = "x".repeat(1 << 20);
    let reply = ask(&app, &guard, &[], &[("token", &large)]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{reply:?}");
    let long = "x".repeat(40_000);
    let reply = ask(&app, &guard, &[], &[("token", &long)]).await;
    assert!(
        reply.status == StatusCode::BAD_REQUEST || reply.json() == json!({"active": false}),
        "{reply:?}"
    );
}

/// INTR-001: who asks proves it.
#[tokio::test]
async fn a_resource_server_with_a_wrong_secret_is_told_nothing() {
    let app = app().await;
    let client = confidential(&app).await;
    let mut guard = resource_server(&app, "mcp").await;
    let body = tokens(&app, &client).await;
    guard.secret = Some("wrong".to_owned());
    let reply = ask(
        &app,
        &basic(&guard),
        &[],
        &[("token", text(&body, "access_token"))],
    )
    .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
}

/// REV-010: a fault is no revocation (RFC 7009 §2.2.1).
#[tokio::test]
async fn a_revocation_that_could_not_be_stored_is_no_success() {
    let app = app().await;
    let client = confidential(&app).await;
    let body = tokens(&app, &client).await;
    app.context.store.close().await.unwrap();
    for member in ["refresh_token", "access_token"] {
        let form = [client.credentials(), vec![("token", text(&body, member))]].concat();
        let reply = app.browser().post_pairs(REVOKE, &[], &form).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
}

/// REV-012, INTR-011: what an operator ends is over, whatever hangs on it.
#[tokio::test]
async fn everything_of_a_person_or_client_ends_at_once() {
    let app = app().await;
    let client = confidential(&app).await;
    let guard = basic(&resource_server(&app, "mcp").await);
    let user = app.user.id.0;
    for which in [
        json!({"user": user}),
        json!({"client_id": client.client_id}),
        json!({"resource": RESOURCE, "client_id": client.client_id, "user": user}),
    ] {
        let body = tokens(&app, &client).await;
        let waiting = code(&app, &client.client_id).await;
        let exchange = [
            ("grant_type", EXCHANGE),
            ("subject_token", text(&body, "access_token")),
            ("subject_token_type", ACCESS_TOKEN),
            ("scope", "mcp:read"),
        ];
        let narrowed = access_token(&client.token(&app, &exchange, &[]).await);
        assert_eq!(is_active(&app, &guard, &narrowed).await, true);
        let ended = admin(&app, "POST", "/admin/grants/revoke", which.clone()).await;
        assert_eq!(ended.json()["ended"], 2, "{which} {ended:?}");
        refresh(&app, &client, text(&body, "refresh_token"))
            .await
            .assert_error("invalid_grant");
        client
            .token(&app, &redemption(&waiting), &[])
            .await
            .assert_error("invalid_grant");
        for token in [text(&body, "access_token"), &narrowed] {
            assert_eq!(is_active(&app, &guard, token).await, false);
        }
        let reply = client.token(&app, &exchange, &[]).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }
    // Nobody ends everything by leaving all of it out.
    for nothing in [json!({}), json!({"usr": user}), json!({"user": "nobody"})] {
        let reply = admin(&app, "POST", "/admin/grants/revoke", nothing).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
    // Nor does a slip of the pen look like a success, also beside a name that is right.
    let nobody = "00000000-0000-4000-8000-000000000000";
    for of_nobody in [
        json!({"client_id": "nobody"}),
        json!({"user": nobody}),
        json!({"resource": "https://nowhere.example/"}),
        json!({"user": user, "client_id": "nobody"}),
        json!({"user": user, "resource": "https://nowhere.example/"}),
    ] {
        let reply = admin(&app, "POST", "/admin/grants/revoke", of_nobody).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{reply:?}");
    }
    // What is gone had grants, and they are found by its name.
    let path = format!("/admin/clients/{}", client.client_id);
    admin(&app, "DELETE", &path, Value::Null).await;
    let of_gone = json!({"client_id": client.client_id});
    let reply = admin(&app, "POST", "/admin/grants/revoke", of_gone).await;
    assert_eq!(
        (reply.status, &reply.json()["ended"]),
        (StatusCode::OK, &json!(0))
    );
}

/// REV-013: as the token endpoint, any origin, and never by a cookie.
#[tokio::test]
async fn revocation_is_for_programs_of_any_origin() {
    let app = app().await;
    let origin = "https://app.example";
    let preflight = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let reply = app
        .browser()
        .send("OPTIONS", REVOKE, &preflight, String::new())
        .await;
    assert!(reply.status.is_success(), "{reply:?}");
    assert!(matches!(
        reply.header("access-control-allow-origin"),
        "*" | "https://app.example"
    ));
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    let client = confidential(&app).await;
    let form = [client.credentials(), vec![("token", "unknown")]].concat();
    let reply = app
        .signed_in()
        .await
        .post_pairs(REVOKE, &[("origin", origin)], &form)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_ne!(reply.header("access-control-allow-origin"), "");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    assert_eq!(reply.header("set-cookie"), "");
}

/// REV-014: no token in a URL, no JSONP.
#[tokio::test]
async fn revocation_takes_a_form_and_answers_nothing() {
    let app = app().await;
    let client = confidential(&app).await;
    let body = tokens(&app, &client).await;
    let query = format!(
        "{REVOKE}?token={}&client_id={}",
        text(&body, "refresh_token"),
        client.client_id
    );
    assert_eq!(
        app.browser().get(&query).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    access_token(&refresh(&app, &client, text(&body, "refresh_token")).await);
    let form = [client.credentials(), vec![("token", text(&body, "access_token"))]].concat();
    let reply = app
        .browser()
        .post_pairs("/oauth/revoke?callback=evil", &[], &form)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert!(!reply.body.contains("evil"), "{reply:?}");
}

/// DPOP-032: nothing about a proof is unbounded.
#[tokio::test]
async fn a_monstrous_proof_is_refused() {
    let app = app().await;
    let client = confidential(&app).await;
    let key = key(Algorithm::Es256);
    let jwk = serde_json::to_value(key.public_jwk()).unwrap();
    let mut wide = jwk.clone();
    for number in 0..1000 {
        wide[format!("member{number}")] = json!(number);
    }
    let signed = |jwk: &Value, extra: &str| {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}).to_string();
        let now = app.context.now().seconds();
        let uri = format!("http://localhost:9000{TOKEN}");
        let claims = format!(
            r#"{{"jti":"{}","htm":"POST","htu":"{uri}","iat":{now},"x":{extra}}}"#,
            fresh("m")
        );
        let input = format!(
            "{}.{}",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims.as_bytes())
        );
        let signature = key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(&signature))
    };
    // The same in small is a good proof.
    access_token(&client.own(&app, &[("dpop", &signed(&jwk, "[[[1]]]"))]).await);
    for monstrous in [
        "x".repeat(64 * 1024),
        signed(&jwk, &format!("\"{}\"", "x".repeat(48 * 1024))),
        signed(&jwk, &format!("{}{}", "[".repeat(3000), "]".repeat(3000))),
        signed(&wide, "0"),
        proof_with(&app, &key, json!({"jti": "j".repeat(10_000)})),
    ] {
        let reply = client.own(&app, &[("dpop", &monstrous)]).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
        assert_eq!(reply.json()["error"], "invalid_dpop_proof");
    }
}
