//! PAR and DEV: requests that come another way.

use doorward_jose::Algorithm;
use http::StatusCode;
use serde_json::json;

use crate::connected::{basic, confidential, redemption};
use crate::machine::{access_token, app, app_with, key, proof};
use crate::support::{Authorization, REDIRECT, RESOURCE, TestApp};

const PAR: &str = "/oauth/par";

/// PAR-006: a redirect URI that is not registered is refused, whoever pushes it.
#[tokio::test]
async fn nobody_pushes_a_redirect_uri_of_their_own() {
    let app = app().await;
    let client = confidential(&app).await;
    let request = Authorization::new(&client.client_id, "https://new.example/cb");
    let authorization = basic(&client);
    let headers = [("authorization", authorization.as_str())];
    let reply = app.browser().post(PAR, &headers, request.encoded()).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    reply.assert_error("invalid_request");
}

/// PAR-007, server wide: nothing begins but what was pushed.
#[tokio::test]
async fn a_server_that_wants_pushed_requests_takes_no_others() {
    let app = app_with(|settings| settings.par.required = true).await;
    let client = confidential(&app).await;
    let plain = Authorization::new(&client.client_id, REDIRECT);
    let reply = app.browser().get(&plain.path()).await;
    assert!(!reply.body.contains("name=\"password\""), "{reply:?}");
    assert_eq!(reply.param("code"), None);
    let authorization = basic(&client);
    let headers = [("authorization", authorization.as_str())];
    let pushed = app.browser().post(PAR, &headers, plain.encoded()).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
}

/// PAR-011: request objects are refused, not ignored, pushed or not.
#[tokio::test]
async fn a_request_object_is_refused_wherever_it_comes() {
    let app = app().await;
    let client = confidential(&app).await;
    let authorization = basic(&client);
    let headers = [("authorization", authorization.as_str())];
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im1jcDphZG1pbiJ9.";
    let request = Authorization::new(&client.client_id, REDIRECT).set("request", unsigned);
    let reply = app.browser().post(PAR, &headers, request.encoded()).await;
    reply.assert_error("request_not_supported");
    let reply = app.browser().get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "request_not_supported", Some("xyz"));
    let elsewhere = Authorization::of(&[
        ("client_id", &client.client_id),
        ("request_uri", "https://evil.example/request"),
    ]);
    let reply = app.browser().get(&elsewhere.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_request_uri", None);
}

async fn redeem(
    app: &TestApp,
    client: &crate::machine::Machine,
    code: &str,
    proof: Option<&str>,
) -> crate::support::Reply {
    let headers: Vec<_> = proof.iter().map(|proof| ("dpop", *proof)).collect();
    client.token(app, &redemption(code), &headers).await
}

/// PAR-010, RFC 9449 §10: a key that is named in a pushed request binds the code as one that is proven there does, for
/// confidential clients too; what stands beside the reference does not.
#[tokio::test]
async fn a_key_named_in_a_pushed_request_binds_the_code() {
    let app = app().await;
    let client = confidential(&app).await;
    let (own, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let request =
        Authorization::new(&client.client_id, REDIRECT).set("dpop_jkt", own.public_jwk().thumbprint());
    let authorization = basic(&client);
    let headers = [("authorization", authorization.as_str())];
    let pushed = app.browser().post(PAR, &headers, request.encoded()).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    let body = pushed.json();
    let reference = Authorization::of(&[
        ("client_id", &client.client_id),
        ("request_uri", body["request_uri"].as_str().unwrap()),
        ("dpop_jkt", other.public_jwk().thumbprint()),
    ]);
    let code = app
        .approve(&app.browser(), &reference)
        .await
        .param("code")
        .unwrap();
    redeem(&app, &client, &code, None)
        .await
        .assert_error("invalid_dpop_proof");
    redeem(&app, &client, &code, Some(&proof(&app, &other)))
        .await
        .assert_error("invalid_dpop_proof");
    access_token(&redeem(&app, &client, &code, Some(&proof(&app, &own))).await);
}

/// DEV-014: neither of the codes says anything about the other, and no two are alike.
#[tokio::test]
async fn a_thousand_devices_get_codes_that_have_nothing_in_common() {
    let app = app_with(|settings| {
        settings.rate_limit.device_address = doorward_server::config::Rate::OFF;
    })
    .await;
    let client = confidential(&app).await;
    let form = [client.credentials(), vec![("resource", RESOURCE)]].concat();
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let reply = app
            .browser()
            .post_pairs("/oauth/device_authorization", &[], &form)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let body = reply.json();
        let user_code = body["user_code"].as_str().unwrap().to_owned();
        let device_code = body["device_code"].as_str().unwrap().to_owned();
        assert!(!device_code.contains(&user_code.replace('-', "")), "{body}");
        assert!(codes.insert(user_code) && codes.insert(device_code));
    }
    assert_ne!(json!(codes.len()), json!(0));
}
