//! `POST /oauth/token`: the catalogue's sections CODE, PKCE and RES as far as they are about the token endpoint.

#![cfg(test)]

mod support;

use doorward_store::{ClientSource, EndReason, GrantState};
use http::StatusCode;
use support::{Authorization, ISSUER, REDIRECT, RESOURCE, Reply, TestApp, VERIFIER, claims};

/// A server, a public client, and a code that the person has allowed.
struct Scene {
    app: TestApp,
    client_id: String,
    code: String,
}

async fn scene() -> Scene {
    let app = TestApp::new().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let code = code(&app, &client_id).await;
    Scene { app, client_id, code }
}

async fn code(app: &TestApp, client_id: &str) -> String {
    let request = Authorization::new(client_id, REDIRECT).set("prompt", "consent");
    app.approve(&app.browser(), &request).await.param("code").unwrap()
}

impl Scene {
    /// Redeems the code with these changes; an empty value leaves the parameter out.
    async fn redeem(&self, changes: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", &self.code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        for (name, value) in changes {
            form.retain(|(other, _)| other != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        self.app.token(&form).await
    }
}

/// CODE-018, PKCE-006, RES-001.
#[tokio::test]
async fn a_code_becomes_a_token_for_the_resource() {
    let scene = scene().await;
    let reply = scene.redeem(&[]).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("content-type"), "application/json");
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["scope"], "mcp:read");
    assert!(body["refresh_token"].as_str().unwrap().starts_with("dwr_"));
    assert_eq!(body["refresh_token_expires_in"], 30 * 86_400);
    assert_eq!(body.as_object().unwrap().len(), 6, "{body}");

    let claims = claims(&body);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], RESOURCE);
    assert_eq!(claims["client_id"], scene.client_id);
    assert_eq!(claims["sub"], scene.app.user.id.0.to_string());
    assert_eq!(claims["scope"], "mcp:read");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
    assert_eq!(claims["auth_time"], claims["iat"]);
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert!(claims["jti"].is_string() && claims["gid"].is_string());
}

/// CODE-001, CODE-002.
#[tokio::test]
async fn codes_that_are_not_one_are_refused() {
    let scene = scene().await;
    let (short, long, flipped) = (
        scene.code[..scene.code.len() - 1].to_owned(),
        format!("{}A", scene.code),
        scene
            .code
            .chars()
            .map(|c| {
                if c.is_lowercase() {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect::<String>(),
    );
    for code in ["dwa_unknown", &short, &long, &flipped] {
        scene
            .redeem(&[("code", code)])
            .await
            .assert_error("invalid_grant");
    }
    scene
        .redeem(&[("code", "")])
        .await
        .assert_error("invalid_request");
    assert_eq!(
        scene.redeem(&[]).await.status,
        StatusCode::OK,
        "nothing was consumed"
    );
}

/// CODE-002, PKCE-014, RFC 6749 §3.2.
#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused_and_nothing_is_consumed() {
    let scene = scene().await;
    let form = format!(
        "grant_type=authorization_code&client_id={}&code={}&code_verifier={VERIFIER}",
        scene.client_id, scene.code
    );
    let twice = [
        format!("code={}", scene.code),
        format!("code_verifier={VERIFIER}"),
        "grant_type=refresh_token".to_owned(),
    ];
    for extra in twice {
        let reply = scene
            .app
            .browser()
            .post("/oauth/token", &[], format!("{form}&{extra}"))
            .await;
        reply.assert_error("invalid_request");
    }
    assert_eq!(scene.redeem(&[]).await.status, StatusCode::OK);
}

/// CODE-003.
#[tokio::test]
async fn a_code_expires() {
    let scene = scene().await;
    scene.app.wait(61);
    scene.redeem(&[]).await.assert_error("invalid_grant");
}

/// CODE-004.
#[tokio::test]
async fn another_client_cannot_use_a_code_nor_spoil_it() {
    let scene = scene().await;
    let other = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    scene
        .redeem(&[("client_id", &other)])
        .await
        .assert_error("invalid_grant");
    assert_eq!(scene.redeem(&[]).await.status, StatusCode::OK);
}

/// CODE-006, CODE-007: OAuth 2.1 dropped the parameter; when it is there it must be the same.
#[tokio::test]
async fn the_redirect_uri_may_be_left_out_but_not_changed() {
    let scene = scene().await;
    for redirect_uri in [
        "https://evil.example/cb",
        "https://client.example/cb/",
        "https://client.example/cb?x=1",
    ] {
        scene
            .redeem(&[("redirect_uri", redirect_uri)])
            .await
            .assert_error("invalid_grant");
    }
    assert_eq!(scene.redeem(&[("redirect_uri", "")]).await.status, StatusCode::OK);
}

/// CODE-009, RES-008.
#[tokio::test]
async fn another_resource_cannot_be_reached_with_a_code() {
    let scene = scene().await;
    scene
        .app
        .add_resource("other", "https://other.example/mcp", &["mcp:read"])
        .await;
    for resource in [
        "https://other.example/mcp",
        "https://unknown.example/mcp",
        "https://mcp.example/mcp/",
    ] {
        scene
            .redeem(&[("resource", resource)])
            .await
            .assert_error("invalid_target");
    }
    let reply = scene.redeem(&[("resource", "")]).await;
    assert_eq!(claims(&reply.json())["aud"], RESOURCE);
}

/// CODE-010.
#[tokio::test]
async fn a_scope_at_redemption_widens_nothing() {
    let scene = scene().await;
    let reply = scene.redeem(&[("scope", "mcp:read mcp:write")]).await;
    assert_eq!(reply.json()["scope"], "mcp:read");
}

/// CODE-011.
#[tokio::test]
async fn a_replayed_code_revokes_its_grant() {
    let scene = scene().await;
    let first = scene.redeem(&[]).await.json();
    scene.redeem(&[]).await.assert_error("invalid_grant");
    assert_eq!(scene.app.end_reason().await, Some(EndReason::CodeReplayed));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", scene.client_id.as_str()),
        ("refresh_token", first["refresh_token"].as_str().unwrap()),
    ];
    scene.app.token(&refresh).await.assert_error("invalid_grant");
}

/// CODE-011: whatever else the second request says.
#[tokio::test]
async fn a_replay_with_a_wrong_verifier_revokes_as_well() {
    let scene = scene().await;
    assert_eq!(scene.redeem(&[]).await.status, StatusCode::OK);
    scene
        .redeem(&[("code_verifier", &"x".repeat(43))])
        .await
        .assert_error("invalid_grant");
    assert_eq!(scene.app.end_reason().await, Some(EndReason::CodeReplayed));
}

/// CODE-012.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_redemptions_at_once_one_succeeds_and_the_grant_ends() {
    let scene = std::sync::Arc::new(scene().await);
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(50));
    let redemptions = (0..50).map(|_| {
        let (scene, barrier) = (std::sync::Arc::clone(&scene), std::sync::Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            scene.redeem(&[]).await
        })
    });
    let mut succeeded = 0;
    for redemption in redemptions.collect::<Vec<_>>() {
        let reply = redemption.await.unwrap();
        if reply.status == StatusCode::OK {
            succeeded += 1;
        } else {
            reply.assert_error("invalid_grant");
        }
    }
    assert_eq!(succeeded, 1);
    assert_eq!(scene.app.end_reason().await, Some(EndReason::CodeReplayed));
}

/// CODE-013, CODE-014, CODE-015.
#[tokio::test]
async fn what_ended_since_the_consent_gets_no_token() {
    let person = scene().await;
    person.app.set_disabled(true).await;
    person.redeem(&[]).await.assert_error("invalid_grant");

    let revoked = scene().await;
    revoked.app.revoke_grants().await;
    revoked.redeem(&[]).await.assert_error("invalid_grant");

    let resource = scene().await;
    resource
        .app
        .context
        .store
        .delete_resource("mcp", resource.app.context.now())
        .await
        .unwrap();
    resource.redeem(&[]).await.assert_error("invalid_grant");

    let client = scene().await;
    client.app.disable_client(&client.client_id).await;
    let reply = client.redeem(&[]).await;
    assert_eq!(
        (reply.status, reply.json()["error"].clone()),
        (StatusCode::UNAUTHORIZED, "invalid_client".into())
    );
}

/// PKCE-009, PKCE-012.
#[tokio::test]
async fn one_wrong_guess_of_the_verifier_burns_the_code() {
    let scene = scene().await;
    let challenge = support::challenge_of(VERIFIER);
    scene
        .redeem(&[("code_verifier", &challenge)])
        .await
        .assert_error("invalid_grant");
    scene.redeem(&[]).await.assert_error("invalid_grant");
    assert_eq!(scene.app.end_reason().await, Some(EndReason::CodeBurned));
}

/// PKCE-010.
#[tokio::test]
async fn a_malformed_verifier_is_refused() {
    let scene = scene().await;
    let (short, long) = ("a".repeat(42), "a".repeat(129));
    for verifier in [
        &short,
        &long,
        "aaaaaaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaa\u{e9}aaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        scene
            .redeem(&[("code_verifier", verifier)])
            .await
            .assert_error("invalid_grant");
    }
    scene
        .redeem(&[("code_verifier", "")])
        .await
        .assert_error("invalid_request");
}

/// META-008, META-006.
#[tokio::test]
async fn grants_that_are_not_advertised_do_not_work() {
    let scene = scene().await;
    let grants = [
        "password",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "Authorization_Code",
        "x",
    ];
    for grant_type in grants {
        scene
            .redeem(&[("grant_type", grant_type)])
            .await
            .assert_error("unsupported_grant_type");
    }
    scene
        .redeem(&[("grant_type", "")])
        .await
        .assert_error("invalid_request");
}

/// CODE-020, RFC 6749 §3.2.
#[tokio::test]
async fn only_a_posted_form_is_read() {
    let scene = scene().await;
    let browser = scene.app.browser();
    let reply = browser
        .get(&format!(
            "/oauth/token?grant_type=authorization_code&code={}",
            scene.code
        ))
        .await;
    assert_eq!(
        (reply.status, reply.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );

    let headers = [("content-type", "application/json")];
    let reply = browser
        .send(
            "POST",
            "/oauth/token",
            &headers,
            r#"{"grant_type":"authorization_code"}"#.to_owned(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(reply.json()["error"], "invalid_request");

    let reply = browser
        .post("/oauth/token", &[], format!("grant_type={}", "x".repeat(70_000)))
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// REF-027, REF-028: a refresh token for clients that registered for it, and for nobody else.
#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token() {
    let app = TestApp::new().await;
    let metadata = serde_json::json!({"client_name": "X", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code"]});
    app.add_client_with("no-refresh", ClientSource::Admin, metadata)
        .await;
    let reply = app
        .approve(&app.browser(), &Authorization::new("no-refresh", REDIRECT))
        .await;
    let body = app.redeem("no-refresh", &reply).await.json();
    assert!(
        body["access_token"].is_string() && body.get("refresh_token").is_none(),
        "{body}"
    );
}

/// CODE-021, REF: what is stored opens nothing.
#[tokio::test]
async fn no_secret_is_in_the_database() {
    // Reads the files of the embedded engine; what is stored is the same in both.
    if support::Engine::is_postgres() {
        return;
    }
    let scene = scene().await;
    let body = scene.redeem(&[]).await.json();
    let unused = code(&scene.app, &scene.client_id).await;
    let secrets = [
        &unused,
        &scene.code,
        body["refresh_token"].as_str().unwrap(),
        body["access_token"].as_str().unwrap(),
        support::PASSWORD,
    ];
    let url = &scene.app.context.settings.storage.url;
    let database = std::path::Path::new(url.strip_prefix("sqlite://").unwrap());
    let mut read = 0;
    for file in std::fs::read_dir(database.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for secret in secrets {
            let raw = doorward_jose::base64url::decode(
                secret.trim_start_matches("dwa_").trim_start_matches("dwr_"),
            );
            assert!(!contains(&bytes, secret.as_bytes()));
            assert!(raw.is_err() || !contains(&bytes, &raw.unwrap()));
        }
    }
    assert!(read > 10_000, "the files of the database were read");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The grant's record says what was issued.
#[tokio::test]
async fn every_access_token_has_a_record() {
    let scene = scene().await;
    let claims = claims(&scene.redeem(&[]).await.json());
    let store = &scene.app.context.store;
    let issuance = store
        .issuance(claims["jti"].as_str().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(issuance.grant.0.to_string(), claims["gid"].as_str().unwrap());
    assert_eq!(issuance.expires_at.seconds(), claims["exp"].as_i64().unwrap());
    let grant = store.grant(issuance.grant).await.unwrap().unwrap();
    assert_eq!(grant.state, GrantState::Active);
}
