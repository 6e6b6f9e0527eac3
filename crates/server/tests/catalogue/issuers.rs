//! ISS: one issuer's answers, codes and clients are nothing to another.

use doorward_store::ClientSource;
use http::StatusCode;

use crate::connected::{basic, confidential};
use crate::machine::{self, TOKEN, assert_unauthenticated};
use crate::support::{Authorization, ISSUER, REDIRECT, RESOURCE, TestApp};

/// ISS-002: the metadata promises it, and every redirect to a client keeps the promise.
#[tokio::test]
async fn every_answer_at_the_redirect_uri_names_the_issuer() {
    let app = TestApp::new().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = || Authorization::new(&client, REDIRECT);
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    let broken = [
        request().set("response_type", "token"),
        request().set("scope", "unknown:scope"),
        request().set("resource", "https://unknown.example/mcp"),
        request().set("code_challenge_method", "plain"),
        request().without("code_challenge"),
        request().set("prompt", "none"),
        request().set("request", "e30.e30."),
        request().set("max_age", "soon"),
        request().set("dpop_jkt", "garbage"),
        request().set("acr_values", "urn:example:gold"),
    ];
    for request in broken {
        let reply = app.browser().get(&request.path()).await;
        let location = reply.location().unwrap_or_else(|| panic!("{reply:?}"));
        assert!(location.starts_with(REDIRECT), "{location}");
        assert!(reply.param("error").is_some(), "{location}");
        assert_eq!(reply.param("iss").as_deref(), Some(ISSUER), "{location}");
        assert_eq!(location.matches("iss=").count(), 1, "{location}");
    }
    let reply = app.approve(&app.browser(), &request()).await;
    assert_eq!(reply.param("iss").as_deref(), Some(ISSUER));
}

/// ISS-003, ISS-004: two servers have nothing in common, whatever the names.
#[tokio::test]
async fn what_one_issuer_gave_is_nothing_at_another() {
    let here = machine::app().await;
    let there =
        machine::app_with(|settings| settings.server.issuer = "http://localhost:9000/there".to_owned()).await;
    let source = ClientSource::Admin;
    let client = here.add_client(source, &[REDIRECT]).await;
    let metadata = serde_json::json!({"client_name": "Both", "redirect_uris": [REDIRECT]});
    there.add_client_with(&client, source, metadata).await;
    let browser = here.signed_in().await;
    let reply = here
        .approve(&browser, &Authorization::new(&client, REDIRECT))
        .await;
    let code = reply.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("code", code.as_str()),
        ("code_verifier", crate::support::VERIFIER),
    ];
    let path = format!("/there{TOKEN}");
    let reply = there.browser().post_pairs(&path, &[], &form).await;
    reply.assert_error("invalid_grant");

    let program = confidential(&here).await;
    let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
    let headers = [("authorization", &*basic(&program))];
    assert_unauthenticated(&there.browser().post_pairs(&path, &headers, &form).await);

    // The session of one is a stranger at the other.
    let visitor = there.browser();
    for (name, value) in browser.cookies() {
        visitor.set_cookie(&name, &value);
    }
    let request = Authorization::new(&client, REDIRECT).encoded();
    let page = visitor.open(&format!("/there/oauth/authorize?{request}")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(page.body.contains("name=\"password\""), "{page:?}");

    let keys = async |app: &TestApp, path: &str| {
        let document = app.browser().get(path).await.json();
        document["keys"][0]["kid"].as_str().unwrap().to_owned()
    };
    assert_ne!(
        keys(&here, "/.well-known/jwks.json").await,
        keys(&there, "/there/.well-known/jwks.json").await
    );
}
