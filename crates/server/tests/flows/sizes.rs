//! What is put together of parts that are each within their bounds: scopes of several resources, and the token that carries
//! them.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::device::{DEVICE, GRANT};
use crate::support::{Authorization, REDIRECT, TestApp, VERIFIER};

/// Resources of so many scopes, each of so many bytes; they are asked for by default.
async fn app(resources: &[&str], scopes: usize, bytes: usize, claims: &Value) -> (TestApp, String) {
    let app = TestApp::with_admin_key().await;
    for slug in resources {
        let scopes: Vec<_> = (0..scopes)
            .map(|number| json!({"name": format!("{slug}:{number:0>0$}", bytes - slug.len() - 1), "default": true}))
            .collect();
        let resource =
            json!({"slug": slug, "uri": uri(slug), "scopes": scopes, "policy": {"claims": claims}});
        let reply = app.administer("POST", "/admin/resources", &resource).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }
    let grants = json!(["authorization_code", "refresh_token", GRANT]);
    let metadata = json!({"client_name": "App", "redirect_uris": [REDIRECT], "grant_types": grants});
    app.add_client_with("app", ClientSource::Admin, metadata).await;
    (app, "app".to_owned())
}

fn uri(slug: &str) -> String {
    format!("https://{slug}.example/mcp")
}

fn request(client: &str, resources: &[&str]) -> Authorization {
    let mut request = Authorization::new(client, REDIRECT)
        .without("scope")
        .without("resource");
    for slug in resources {
        request = request.add("resource", &uri(slug));
    }
    request
}

#[tokio::test]
async fn the_scopes_of_a_resource_fit_into_one_token() {
    let app = TestApp::with_admin_key().await;
    let mut resource = json!({"slug": "long", "uri": uri("long")});
    let scope = |number: usize| json!({"name": format!("{number:0>200}")});
    // With `offline_access` and the spaces between them 5,240 bytes, and 5,039.
    for (scopes, status) in [(26, StatusCode::BAD_REQUEST), (25, StatusCode::CREATED)] {
        resource["scopes"] = (0..scopes).map(scope).collect();
        let reply = app.administer("POST", "/admin/resources", &resource).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    resource["scopes"] = (0..26).map(scope).collect();
    let change = json!({"scopes": resource["scopes"]});
    let reply = app.administer("PATCH", "/admin/resources/long", &change).await;
    reply.assert_error("invalid_request");
}

/// Of all that an operator can write for one resource, and with the longest names.
#[tokio::test]
async fn a_token_for_one_resource_is_never_too_large() {
    let app = TestApp::with_admin_key().await;
    let scopes: Vec<_> = (0..25)
        .map(|number| json!({"name": format!("{number:0>200}"), "default": true}))
        .collect();
    let uri = format!("https://long.example/{:a>1003}", "");
    let claims = json!({"long": "x".repeat(2035)});
    let resource = json!({"slug": "long", "uri": uri, "scopes": scopes, "policy": {"claims": claims}});
    let reply = app.administer("POST", "/admin/resources", &resource).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let client = format!("https://app.example/{:a>1004}", "");
    let metadata = json!({"client_name": "App", "redirect_uris": [REDIRECT]});
    app.add_client_with(&client, ClientSource::Admin, metadata).await;
    let request = Authorization::new(&client, REDIRECT)
        .without("scope")
        .set("resource", &uri);
    let reply = app.approve(&app.browser(), &request).await;
    let body = app.redeem(&client, &reply).await.json();
    assert!(body["access_token"].is_string(), "{body}");
}

/// 201 scopes are more than anybody reads.
#[tokio::test]
async fn scopes_of_several_resources_that_no_token_carries_are_refused_at_once() {
    let resources = ["a", "b", "c"];
    let (app, client) = app(&resources, 67, 8, &json!({})).await;
    let browser = app.signed_in().await;
    let request = request(&client, &resources);
    let reply = browser.get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_scope", Some("xyz"));
    let reply = browser.post("/oauth/par", &[], request.encoded()).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    reply.assert_error("invalid_scope");
    let uris = resources.map(uri);
    let mut form = vec![("client_id", &*client)];
    form.extend(uris.iter().map(|uri| ("resource", &**uri)));
    let reply = browser.post_pairs(DEVICE, &[], &form).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    reply.assert_error("invalid_scope");
    // Two of them are not too many.
    let reply = app
        .approve(&app.browser(), &self::request(&client, &resources[..2]))
        .await;
    let body = app.redeem(&client, &reply).await.json();
    assert_eq!(body["scope"].as_str().unwrap().split(' ').count(), 134, "{body}");
}

/// Each resource's own token is no larger than 16 KiB, one for both would be.
#[tokio::test]
async fn a_token_that_nobody_takes_uses_up_no_code() {
    let claims = |name: &str| json!({name: "x".repeat(1900)});
    let resources = ["a", "b"];
    let (app, client) = app(&["a"], 30, 130, &claims("one")).await;
    let scopes: Vec<_> = (0..30)
        .map(|number| json!({"name": format!("b:{number:0>128}"), "default": true}))
        .collect();
    let resource =
        json!({"slug": "b", "uri": uri("b"), "scopes": scopes, "policy": {"claims": claims("two")}});
    app.administer("POST", "/admin/resources", &resource).await;
    let reply = app.approve(&app.browser(), &request(&client, &resources)).await;
    let code = reply.param("code").unwrap();
    let redeem = async |resource: Option<&str>| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &*client),
            ("code", &*code),
            ("code_verifier", VERIFIER),
        ];
        form.extend(resource.map(|uri| ("resource", uri)));
        app.token(&form).await
    };
    let reply = redeem(None).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    reply.assert_error("invalid_scope");
    // The same code, for one of them; what is refreshed is bounded too.
    let body = redeem(Some(&uri("a"))).await.json();
    assert!(body["access_token"].is_string(), "{body}");
    let refresh_token = body["refresh_token"].as_str().unwrap();
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", refresh_token),
    ];
    app.token(&refresh).await.assert_error("invalid_scope");
    let uri = uri("b");
    let narrow: Vec<_> = refresh.into_iter().chain([("resource", &*uri)]).collect();
    assert!(app.token(&narrow).await.json()["access_token"].is_string());
}
