//! Revocation (RFC 7009) and introspection (RFC 7662): the catalogue's sections REV and INTR.

#![cfg(test)]

mod support;

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};
use support::{Authorization, REDIRECT, RESOURCE, Reply, TestApp, client_id};

struct Scene {
    app: TestApp,
    client_id: String,
    access_token: String,
    refresh_token: String,
    /// `Authorization` of the client that is the resource server of the token.
    resource_server: String,
}

async fn scene() -> Scene {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let reply = app
        .approve(&app.browser(), &Authorization::new(&client_id, REDIRECT))
        .await;
    let body = app.redeem(&client_id, &reply).await.json();
    let resource_server = app
        .confidential(&json!({"client_name": "Guard", "resource_server": "mcp"}))
        .await;
    Scene {
        client_id,
        access_token: body["access_token"].as_str().unwrap().to_owned(),
        refresh_token: body["refresh_token"].as_str().unwrap().to_owned(),
        resource_server,
        app,
    }
}

impl Scene {
    async fn post(&self, path: &str, authorization: &str, form: &[(&str, &str)]) -> Reply {
        let headers: &[(&str, &str)] = if authorization.is_empty() {
            &[]
        } else {
            &[("authorization", authorization)]
        };
        self.app.browser().post_pairs(path, headers, form).await
    }

    async fn introspect(&self, token: &str) -> Value {
        let reply = self
            .post("/oauth/introspect", &self.resource_server, &[("token", token)])
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        reply.json()
    }

    async fn revoke(&self, client_id: &str, token: &str) -> Reply {
        self.post("/oauth/revoke", "", &[("client_id", client_id), ("token", token)])
            .await
    }

    async fn refreshes(&self) -> bool {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client_id),
            ("refresh_token", &*self.refresh_token),
        ];
        self.app.token(&form).await.status == StatusCode::OK
    }
}

fn inactive() -> Value {
    json!({ "active": false })
}

/// INTR-002, INTR-009.
#[tokio::test]
async fn the_resource_server_sees_every_claim_as_often_as_it_asks() {
    let scene = scene().await;
    let answer = scene.introspect(&scene.access_token).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["aud"], RESOURCE);
    assert_eq!(answer["client_id"], scene.client_id);
    assert_eq!(answer["scope"], "mcp:read");
    for claim in ["iss", "sub", "exp", "iat", "jti", "gid"] {
        assert!(!answer[claim].is_null(), "{claim}");
    }
    assert_eq!(scene.introspect(&scene.access_token).await, answer);
}

/// INTR-001.
#[tokio::test]
async fn who_does_not_prove_itself_is_told_nothing() {
    let scene = scene().await;
    let bearer = format!("Bearer {}", scene.access_token);
    for (authorization, client_id) in [
        ("", ""),
        ("", &*scene.client_id),
        (&bearer, ""),
        ("Basic bm9wZTp4", ""),
    ] {
        let mut form = vec![("token", &*scene.access_token)];
        if !client_id.is_empty() {
            form.push(("client_id", client_id));
        }
        let reply = scene.post("/oauth/introspect", authorization, &form).await;
        assert_eq!(
            reply.status,
            StatusCode::UNAUTHORIZED,
            "{authorization} {client_id} {reply:?}"
        );
        assert_eq!(reply.json()["error"], "invalid_client");
    }
}

/// INTR-003, INTR-007.
#[tokio::test]
async fn what_is_no_live_access_token_is_inactive_and_nothing_else_is_said() {
    let scene = scene().await;
    let token = &scene.access_token;
    let (head, signature) = token.rsplit_once('.').unwrap();
    let mut flipped = signature.to_owned().into_bytes();
    flipped[5] = if flipped[5] == b'A' { b'B' } else { b'A' };
    let flipped = format!("{head}.{}", String::from_utf8(flipped).unwrap());
    let unsigned = format!("{head}.");
    let dots = ".".repeat(4096);
    for token in [
        "garbage",
        "x.y.z",
        &flipped,
        &unsigned,
        &scene.refresh_token,
        "dwa_code",
        &dots,
    ] {
        assert_eq!(scene.introspect(token).await, inactive(), "{token}");
    }
    scene.app.wait(301);
    assert_eq!(scene.introspect(token).await, inactive(), "expired");
}

/// INTR-004, INTR-012.
#[tokio::test]
async fn one_token_must_be_named_in_the_body() {
    let scene = scene().await;
    let twice = [("token", &*scene.access_token), ("token", "x")];
    for form in [&[][..], &[("token", "")], &twice] {
        let reply = scene
            .post("/oauth/introspect", &scene.resource_server, form)
            .await;
        assert_eq!(
            (reply.status, reply.json()["error"].clone()),
            (StatusCode::BAD_REQUEST, json!("invalid_request"))
        );
    }
    let reply = scene
        .app
        .browser()
        .get(&format!("/oauth/introspect?token={}", scene.access_token))
        .await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// INTR-006 and the issue: only the token's own resource or client may see it.
#[tokio::test]
async fn the_tokens_of_others_look_inactive() {
    let scene = scene().await;
    scene
        .app
        .add_resource("other", "https://other.example/mcp", &["mcp:read"])
        .await;
    let strangers = [
        json!({"client_name": "Other guard", "resource_server": "other"}),
        json!({"client_name": "Other client", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"}),
    ];
    for stranger in strangers {
        let authorization = scene.app.confidential(&stranger).await;
        let reply = scene
            .post(
                "/oauth/introspect",
                &authorization,
                &[("token", &scene.access_token)],
            )
            .await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, inactive()));
    }
}

/// INTR-006.
#[tokio::test]
async fn a_confidential_client_sees_its_own_token() {
    let scene = scene().await;
    let client = json!({"client_name": "Own", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let authorization = scene.app.confidential(&client).await;
    let client_id = client_id(&authorization);
    let reply = scene
        .app
        .approve(&scene.app.browser(), &Authorization::new(&client_id, REDIRECT))
        .await;
    let code = reply.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", support::VERIFIER),
    ];
    let token = scene.post("/oauth/token", &authorization, &form).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = scene
        .post("/oauth/introspect", &authorization, &[("token", &token)])
        .await;
    assert_eq!(reply.json()["active"], true, "{reply:?}");
}

/// INTR-011.
#[tokio::test]
async fn what_ended_is_inactive_at_once() {
    let person = scene().await;
    person.app.set_disabled(true).await;
    assert_eq!(person.introspect(&person.access_token).await, inactive());

    let grant = scene().await;
    grant.app.revoke_grants().await;
    assert_eq!(grant.introspect(&grant.access_token).await, inactive());

    let client = scene().await;
    client.app.disable_client(&client.client_id).await;
    assert_eq!(client.introspect(&client.access_token).await, inactive());
}

/// REV-003.
#[tokio::test]
async fn revoking_a_refresh_token_ends_the_grant() {
    let scene = scene().await;
    let reply = scene.revoke(&scene.client_id, &scene.refresh_token).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, ""));
    assert!(!scene.refreshes().await);
    assert_eq!(scene.introspect(&scene.access_token).await, inactive());
}

/// REV-001: the grant goes on; a client that drops one token is not signed out.
#[tokio::test]
async fn revoking_an_access_token_ends_that_token_only() {
    let scene = scene().await;
    assert_eq!(
        scene.revoke(&scene.client_id, &scene.access_token).await.status,
        StatusCode::OK
    );
    assert_eq!(scene.introspect(&scene.access_token).await, inactive());
    assert!(scene.refreshes().await);
}

/// REV-002, REV-008, REV-009.
#[tokio::test]
async fn unknown_tokens_are_fine_and_missing_ones_are_not() {
    let scene = scene().await;
    for token in [
        "garbage",
        "dwr_AAAA",
        "x.y.z",
        &scene.refresh_token,
        &scene.refresh_token,
    ] {
        assert_eq!(
            scene.revoke(&scene.client_id, token).await.status,
            StatusCode::OK,
            "{token}"
        );
    }
    let reply = scene
        .post("/oauth/revoke", "", &[("client_id", &scene.client_id)])
        .await;
    assert_eq!(
        (reply.status, reply.json()["error"].clone()),
        (StatusCode::BAD_REQUEST, json!("invalid_request"))
    );
    let hinted = [
        ("client_id", &*scene.client_id),
        ("token", &scene.access_token),
        ("token_type_hint", "refresh_token"),
    ];
    assert_eq!(
        scene.post("/oauth/revoke", "", &hinted).await.status,
        StatusCode::OK
    );
    assert_eq!(scene.introspect(&scene.access_token).await, inactive());
}

/// REV-006.
/// Its grant and its client are in every access token, which others see too.
#[tokio::test]
async fn a_made_up_refresh_token_ends_nothing() {
    let scene = scene().await;
    let (known, last) = scene.refresh_token.split_at(scene.refresh_token.len() - 20);
    let other = if last.starts_with('A') { "B" } else { "A" };
    let made_up = format!("{known}{other}{}", &last[1..]);
    let reply = scene.revoke(&scene.client_id, &made_up).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(scene.introspect(&scene.access_token).await["active"], true);
    assert!(scene.refreshes().await);
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens_only() {
    let scene = scene().await;
    let other = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    for token in [&scene.refresh_token, &scene.access_token] {
        assert_eq!(scene.revoke(&other, token).await.status, StatusCode::OK);
    }
    assert_eq!(scene.introspect(&scene.access_token).await["active"], true);
    assert!(scene.refreshes().await);
    let anonymous = scene
        .post("/oauth/revoke", "", &[("token", &scene.refresh_token)])
        .await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
}
