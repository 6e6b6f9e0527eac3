//! PKCE.

use crate::support::challenge_of;
use crate::{REDIRECT, app_with_client, assert_error};
use doorward_store::ClientSource::Admin;
use http::StatusCode;

/// [PKCE-001..004]
#[tokio::test]
async fn pkce_with_s256_is_mandatory() {
    assert_error(
        |request| request.without("code_challenge").without("code_challenge_method"),
        "invalid_request",
    )
    .await;
    assert_error(|request| request.without("code_challenge"), "invalid_request").await;
    assert_error(
        |request| request.without("code_challenge_method"),
        "invalid_request",
    )
    .await;
    for method in ["plain", "s256", "SHA256", "S512", "", "S256,plain"] {
        assert_error(
            |request| request.set("code_challenge_method", method),
            "invalid_request",
        )
        .await;
    }
    for challenge in [
        &"x".repeat(42),
        &"x".repeat(44),
        "",
        &format!("{}=", "x".repeat(42)),
        &"é".repeat(43),
    ] {
        assert_error(
            |request| request.set("code_challenge", challenge),
            "invalid_request",
        )
        .await;
    }
}

/// [PKCE-011]
#[tokio::test]
async fn verifiers_of_43_and_128_characters_work() {
    let (app, request) = app_with_client().await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    for verifier in [
        "abcABC019-._~".repeat(4)[..43].to_owned(),
        "abcABC019-._~".repeat(10)[..128].to_owned(),
    ] {
        let request = request
            .clone()
            .set("client_id", &client_id)
            .set("code_challenge", &challenge_of(&verifier));
        let reply = app.approve(&browser, &request.set("prompt", "consent")).await;
        let code = reply.param("code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("code", &code),
            ("code_verifier", &verifier),
        ];
        assert_eq!(app.token(&form).await.status, StatusCode::OK);
    }
}
