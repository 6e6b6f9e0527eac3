//! CAUTH: who a client is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use crate::connected::{
    ASSERTION_GRANT, DEVICE_GRANT, basic, code, confidential, redemption, refresh, text, tokens,
};
use crate::machine::{ACCESS_TOKEN, EXCHANGE, TOKEN, access_token, app, assert_unauthenticated};
use crate::support::{Authorization, REDIRECT, RESOURCE};

/// CAUTH-001, REV-007: its name alone opens nothing, at no endpoint, and costs it nothing.
#[tokio::test]
async fn nobody_passes_for_a_confidential_client_by_its_name() {
    let app = app().await;
    let client = confidential(&app).await;
    let name = ("client_id", client.client_id.as_str());
    let body = tokens(&app, &client).await;
    let code = code(&app, &client.client_id).await;
    let (access, refresh_token) = (text(&body, "access_token"), text(&body, "refresh_token"));
    let redeem = redemption(&code);
    let cases: [(&str, Vec<(&str, &str)>); 9] = [
        (
            TOKEN,
            vec![("grant_type", "client_credentials"), ("resource", RESOURCE)],
        ),
        (TOKEN, redeem.clone()),
        (
            TOKEN,
            vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)],
        ),
        (
            TOKEN,
            vec![
                ("grant_type", EXCHANGE),
                ("subject_token", access),
                ("subject_token_type", ACCESS_TOKEN),
            ],
        ),
        (
            TOKEN,
            vec![("grant_type", ASSERTION_GRANT), ("assertion", "e30.e30.e30")],
        ),
        (
            TOKEN,
            vec![("grant_type", DEVICE_GRANT), ("device_code", "dwd_x")],
        ),
        ("/oauth/introspect", vec![("token", access)]),
        ("/oauth/revoke", vec![("token", refresh_token)]),
        ("/oauth/device_authorization", vec![("resource", RESOURCE)]),
    ];
    for (path, form) in cases {
        let reply = app
            .browser()
            .post_pairs(path, &[], &[vec![name], form.clone()].concat())
            .await;
        assert_unauthenticated(&reply);
        // RFC 7009 §2.1: not even who says nothing at all.
        let reply = app.browser().post_pairs(path, &[], &form).await;
        assert!(reply.status.is_client_error(), "{path} {form:?} {reply:?}");
    }
    let pushed = Authorization::new(&client.client_id, REDIRECT);
    let reply = app.browser().post("/oauth/par", &[], pushed.encoded()).await;
    assert_unauthenticated(&reply);
    // None of it used anything up.
    access_token(&client.token(&app, &redeem, &[]).await);
    access_token(&refresh(&app, &client, refresh_token).await);
}

/// CAUTH-010, CAUTH-011: both halves are form-encoded (RFC 6749 §2.3.1), and what is not stays what it is.
#[tokio::test]
async fn both_halves_of_basic_credentials_are_percent_decoded() {
    let app = app().await;
    let client = confidential(&app).await;
    let secret = client.secret.clone().unwrap();
    let encoded = |text: &str| {
        let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
        bytes.collect::<Vec<_>>().concat()
    };
    let ask = async |id: &str, secret: &str| {
        let header = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        app.browser()
            .post_pairs(TOKEN, &[("authorization", &header)], &form)
            .await
    };
    let id = client.client_id.as_str();
    access_token(&ask(id, &secret).await);
    access_token(&ask(&encoded(id), &encoded(&secret)).await);
    access_token(&ask(id, &encoded(&secret).to_lowercase()).await);
    for wrong in [
        format!("{secret}+"),
        format!("{secret}%"),
        format!("{secret}%zz"),
        format!("{secret}%00"),
        format!("{secret} "),
        encoded(&encoded(&secret)),
        "%FF%FE".to_owned(),
        "ü☃".to_owned(),
        String::new(),
    ] {
        assert_unauthenticated(&ask(id, &wrong).await);
    }
}

/// CAUTH-012
#[tokio::test]
async fn a_malformed_authorization_header_is_an_answer_and_no_fault() {
    let app = app().await;
    let client = confidential(&app).await;
    let good = basic(&client);
    let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
    let encoded = |bytes: &[u8]| format!("Basic {}", STANDARD.encode(bytes));
    for malformed in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!".to_owned(),
        "Basic\tx".to_owned(),
        encoded(b"no-colon"),
        encoded(b":"),
        encoded(b"\xff\xfe:\xff"),
        encoded(format!("{}\n:x", client.client_id).as_bytes()),
        format!("Basic {}", "A".repeat(8192)),
        format!("{good}, {good}"),
        "Bearer x".to_owned(),
        "Digest username=\"x\"".to_owned(),
    ] {
        let reply = app
            .browser()
            .post_pairs(TOKEN, &[("authorization", &malformed)], &form)
            .await;
        assert!(
            matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED),
            "{malformed:.40} {reply:?}"
        );
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(matches!(&*error, "invalid_client" | "invalid_request"), "{error}");
    }
    let twice = [("authorization", good.as_str()), ("authorization", good.as_str())];
    let reply = app.browser().post_pairs(TOKEN, &twice, &form).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
    let lower = good.replace("Basic", "basic");
    access_token(
        &app.browser()
            .post_pairs(TOKEN, &[("authorization", &lower)], &form)
            .await,
    );
}

/// CAUTH-039: a proxy's word about certificates counts for nothing; there is no mutual TLS here.
#[tokio::test]
async fn headers_about_certificates_authenticate_nobody() {
    let app = app().await;
    let client = confidential(&app).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.client_id.as_str()),
        ("resource", RESOURCE),
    ];
    for (name, value) in [
        ("x-client-cert", "-----BEGIN CERTIFICATE-----"),
        ("x-ssl-client-cert", "-----BEGIN CERTIFICATE-----"),
        ("x-forwarded-client-cert", "Hash=abc;Subject=\"CN=machine\""),
        ("ssl-client-verify", "SUCCESS"),
        ("client-cert", ":MIIB:"),
    ] {
        let reply = app.browser().post_pairs(TOKEN, &[(name, value)], &form).await;
        assert_unauthenticated(&reply);
    }
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    let methods = metadata["token_endpoint_auth_methods_supported"].to_string();
    assert!(!methods.contains("tls_client_auth"), "{methods}");
    assert_eq!(metadata.get("mtls_endpoint_aliases"), None);
    assert_ne!(
        metadata["tls_client_certificate_bound_access_tokens"],
        json!(true)
    );
}
