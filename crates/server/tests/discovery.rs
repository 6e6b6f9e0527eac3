//! What the server says about itself: the catalogue's section META.

#![cfg(test)]

mod support;

use http::StatusCode;
use serde_json::json;
use support::log::Log;
use support::{ISSUER, RESOURCE, Reply, TestApp};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/.well-known/jwks.json";

async fn get(app: &TestApp, path: &str) -> Reply {
    app.browser().get(path).await
}

async fn with_path() -> TestApp {
    TestApp::with(|settings| "http://localhost:9000/tenant1".clone_into(&mut settings.server.issuer)).await
}

/// META-001: the whole document, so that every change of it is seen.
#[tokio::test]
async fn the_document_says_what_the_server_does() {
    let app = TestApp::new().await;
    let reply = get(&app, METADATA).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    let methods = [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    let assertions = ["ES256", "EdDSA", "ES384", "PS256", "RS256"];
    let expected = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/oauth/authorize"),
        "token_endpoint": format!("{ISSUER}/oauth/token"),
        "registration_endpoint": format!("{ISSUER}/oauth/register"),
        "pushed_authorization_request_endpoint": format!("{ISSUER}/oauth/par"),
        "require_pushed_authorization_requests": false,
        "device_authorization_endpoint": format!("{ISSUER}/oauth/device_authorization"),
        "acr_values_supported": ["urn:doorward:acr:password"],
        "revocation_endpoint": format!("{ISSUER}/oauth/revoke"),
        "introspection_endpoint": format!("{ISSUER}/oauth/introspect"),
        "revocation_events_endpoint": format!("{ISSUER}/events/revocations"),
        "jwks_uri": format!("{ISSUER}/.well-known/jwks.json"),
        "scopes_supported": ["mcp:read", "mcp:write", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": assertions,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": assertions,
        "introspection_endpoint_auth_methods_supported": methods[1..],
        "introspection_endpoint_auth_signing_alg_values_supported": assertions,
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
        "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
        "identity_chaining_requested_token_types_supported": ["urn:ietf:params:oauth:token-type:id-jag"],
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(get(&app, OPENID).await.json(), expected);
}

/// META-002, META-003.
#[tokio::test]
async fn an_issuer_with_a_path_is_found_at_every_form() {
    let app = with_path().await;
    let paths = [
        format!("{METADATA}/tenant1"),
        format!("{OPENID}/tenant1"),
        format!("/tenant1{OPENID}"),
    ];
    for path in paths {
        let document = get(&app, &path).await.json();
        assert_eq!(document["issuer"], "http://localhost:9000/tenant1", "{path}");
        assert_eq!(
            document["token_endpoint"], "http://localhost:9000/tenant1/oauth/token",
            "{path}"
        );
    }
}

/// META-004.
#[tokio::test]
async fn other_paths_are_not_found() {
    let app = TestApp::new().await;
    for path in ["/evil/tenant", "/..%2f/x", "/%2e%2e/x", "/"] {
        assert_eq!(
            get(&app, &format!("{METADATA}{path}")).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let app = with_path().await;
    assert_eq!(
        get(&app, &format!("{METADATA}/tenant2")).await.status,
        StatusCode::NOT_FOUND
    );
}

/// META-005.
#[tokio::test]
async fn headers_cannot_change_what_the_server_is_called() {
    let app = TestApp::with(|settings| "https://auth.example".clone_into(&mut settings.server.issuer)).await;
    let hostile = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/evil"),
    ];
    for header in hostile {
        let reply = app.browser().get_with(METADATA, &[header]).await;
        assert!(!reply.body.contains("evil"), "{header:?}");
        assert_eq!(reply.json()["issuer"], "https://auth.example", "{header:?}");
    }
}

/// META-006: what is advertised answers, under a root issuer and under one with a path.
#[tokio::test]
async fn every_advertised_endpoint_exists() {
    for app in [TestApp::new().await, with_path().await] {
        let document = get(&app, METADATA).await.json();
        let mut walked = 0;
        for (name, url) in document.as_object().unwrap() {
            let Some(path) = url
                .as_str()
                .filter(|_| name.ends_with("_endpoint") || name == "jwks_uri")
            else {
                continue;
            };
            let path = path.strip_prefix("http://localhost:9000").unwrap();
            let by_get = get(&app, path).await.status;
            let by_post = app.browser().post(path, &[], String::new()).await.status;
            let exists = |status| status != StatusCode::NOT_FOUND && status != StatusCode::METHOD_NOT_ALLOWED;
            assert!(exists(by_get) || exists(by_post), "{name}: {by_get} {by_post}");
            walked += 1;
        }
        assert_eq!(walked, 9);
    }
}

/// META-006: an authentication method works exactly when it is listed; the grants are in `token.rs`.
#[tokio::test]
async fn a_closed_door_is_not_advertised() {
    use doorward_server::config::DynamicRegistration;
    let app = TestApp::with(|settings| {
        settings.registration.dcr = DynamicRegistration::AdminOnly;
        settings.registration.cimd = false;
    })
    .await;
    let document = get(&app, METADATA).await.json();
    assert!(document.get("registration_endpoint").is_none());
    assert_eq!(document["client_id_metadata_document_supported"], false);
}

/// META-007.
#[tokio::test]
async fn documents_can_be_cached_and_read_from_any_origin() {
    let app = TestApp::new().await;
    for path in [METADATA, OPENID, JWKS] {
        let reply = app
            .browser()
            .get_with(path, &[("origin", "https://app.example")])
            .await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{path}");
        assert_eq!(reply.header("cache-control"), "public, max-age=300", "{path}");
        let head = app.browser().send("HEAD", path, &[], String::new()).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        let post = app.browser().post(path, &[], String::new()).await;
        assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

/// META-011.
#[tokio::test]
async fn a_document_that_did_not_change_is_not_sent_again() {
    let app = TestApp::new().await;
    for path in [METADATA, JWKS] {
        let tag = get(&app, path).await.header("etag").to_owned();
        let same = app.browser().get_with(path, &[("if-none-match", &tag)]).await;
        assert_eq!(
            (same.status, same.body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{path}"
        );
        assert_eq!(same.header("etag"), tag);
        let other = app
            .browser()
            .get_with(path, &[("if-none-match", "\"other\"")])
            .await;
        assert_eq!(other.status, StatusCode::OK);
    }
}

/// The documents are answered from memory, and what an operator changes is in the next answer.
#[tokio::test]
async fn a_document_that_changed_is_told_at_once() {
    let app = TestApp::new().await;
    for _ in 0..3 {
        let scopes = get(&app, METADATA).await.json()["scopes_supported"].clone();
        assert_eq!(scopes, json!(["mcp:read", "mcp:write", "offline_access"]));
        assert_eq!(get(&app, JWKS).await.json()["keys"].as_array().unwrap().len(), 1);
    }
    app.add_resource("second", "https://second.example/mcp", &["second:all"])
        .await;
    app.context.keys.rotate_now().await.unwrap();
    for path in [METADATA, OPENID] {
        let scopes = get(&app, path).await.json()["scopes_supported"].clone();
        assert_eq!(
            scopes,
            json!(["mcp:read", "mcp:write", "second:all", "offline_access"]),
            "{path}"
        );
    }
    assert_eq!(get(&app, JWKS).await.json()["keys"].as_array().unwrap().len(), 2);
}

/// META-009.
#[tokio::test]
async fn the_key_set_holds_public_keys_only() {
    let app = TestApp::new().await;
    app.context.keys.rotate_now().await.unwrap();
    let reply = get(&app, JWKS).await;
    let keys = reply.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0]["kid"], keys[1]["kid"]);
    for key in keys {
        let mut members: Vec<&String> = key.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
    }
}

/// RFC 7638, and the algorithms of the settings.
#[tokio::test]
async fn every_algorithm_of_the_settings_signs() {
    use doorward_jose::Algorithm;
    let algorithms = [
        (Algorithm::Es256, "ES256"),
        (Algorithm::EdDsa, "EdDSA"),
        (Algorithm::Rs256, "RS256"),
        (Algorithm::Ps256, "PS256"),
    ];
    for (algorithm, name) in algorithms {
        let app = TestApp::with(|settings| settings.keys.algorithm = algorithm).await;
        let keys = get(&app, JWKS).await.json();
        assert_eq!(keys["keys"][0]["alg"], name);
        let jwk = doorward_jose::Jwk::from_value(&keys["keys"][0]).unwrap();
        assert_eq!(keys["keys"][0]["kid"], jwk.thumbprint());
    }
}

/// RFC 9728, for resources that do not serve their own document.
#[tokio::test]
async fn registered_resources_have_documents() {
    let app = TestApp::new().await;
    let base = "/.well-known/oauth-protected-resource";
    let document = get(&app, &format!("{base}/mcp")).await.json();
    let expected = json!({
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["mcp:read", "mcp:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "The mcp server",
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
        "dpop_bound_access_tokens_required": false,
    });
    assert_eq!(document, expected);
    assert_eq!(
        get(&app, base).await.json(),
        expected,
        "the only resource needs no name"
    );
    assert_eq!(
        get(&app, &format!("{base}/other")).await.status,
        StatusCode::NOT_FOUND
    );

    app.add_resource("second", "https://second.example/mcp", &["mcp:read"])
        .await;
    app.wait(2);
    assert_eq!(
        get(&app, base).await.status,
        StatusCode::NOT_FOUND,
        "which one would it be?"
    );
    assert_eq!(
        get(&app, &format!("{base}/second")).await.json()["resource"],
        "https://second.example/mcp"
    );
    assert_eq!(
        get(&app, &format!("{base}/mcp")).await.json()["resource"],
        RESOURCE,
        "of two with one path, the slug says which"
    );
}

/// RFC 9728 §3.3: a client takes the document of no other resource than the one that it looked for.
#[tokio::test]
async fn the_path_of_a_resource_goes_before_the_slug_of_another() {
    let app = TestApp::new().await;
    let base = "/.well-known/oauth-protected-resource";
    app.add_resource("files", "https://one.example/notes", &["files:read"])
        .await;
    app.add_resource("notes", "https://two.example/files", &["notes:read"])
        .await;
    app.add_resource("root", "https://three.example", &["root:read"])
        .await;
    let resource = async |path: &str| get(&app, &format!("{base}{path}")).await.json()["resource"].clone();
    assert_eq!(resource("/notes").await, "https://one.example/notes");
    assert_eq!(resource("/files").await, "https://two.example/files");
    assert_eq!(resource("").await, "https://three.example");
    assert_eq!(resource("/root").await, "https://three.example");

    // Two have the path, and the slug is a third one's: none of them is what somebody looks for.
    app.add_resource("third", "https://four.example/third", &["third:read"])
        .await;
    app.add_resource("fourth", "https://five.example/root", &["fourth:read"])
        .await;
    app.add_resource("fifth", "https://six.example/root", &["fifth:read"])
        .await;
    assert_eq!(
        get(&app, &format!("{base}/root")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(resource("/fifth").await, "https://six.example/root");
}

#[tokio::test]
async fn a_path_with_percent_encoding_is_found_as_it_is_written() {
    let app = TestApp::new().await;
    let uri = "https://one.example/my%20notes/mcp";
    app.add_resource("notes", uri, &["notes:read"]).await;
    let path = "/.well-known/oauth-protected-resource/my%20notes/mcp";
    assert_eq!(get(&app, path).await.json()["resource"], uri);
}

/// Health is told on both sides.
#[tokio::test]
async fn the_server_says_that_it_lives_and_is_ready_or_why_not() {
    let log = Log::start();
    let app = TestApp::new().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&app, path).await.status, StatusCode::OK);
    }
    app.context.store.close().await.unwrap();
    assert_eq!(get(&app, "/livez").await.status, StatusCode::OK);
    let unready = get(&app, "/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        unready.json()["error_description"],
        "The database does not answer."
    );
    let line = log.request();
    assert_eq!(
        (&line["level"], &line["error"]),
        (&json!("ERROR"), &json!("temporarily_unavailable"))
    );
    assert!(
        line["internal"].as_str().unwrap().starts_with("store: "),
        "{line}"
    );
    let metrics = app.context.metrics.encode().unwrap();
    assert!(metrics.contains("doorward_store_errors_total 1\n"), "{metrics}");
}

/// A load balancer that stops asking is what is wanted.
#[tokio::test]
async fn a_server_that_ends_says_so() {
    let log = Log::start();
    let app = TestApp::new().await;
    app.context.leave();
    let unready = get(&app, "/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unready.json()["error_description"], "The server ends.");
    assert_eq!(log.request()["level"], "INFO");
}

/// An alarm that nothing was counted cannot go off for what is not there.
#[tokio::test]
async fn what_has_labels_of_its_own_is_there_at_zero_from_the_start() {
    let app = TestApp::new().await;
    let metrics = app.context.metrics.encode().unwrap();
    for series in [
        "tokens_issued_total{grant_type=\"authorization_code\"} 0",
        "tokens_issued_total{grant_type=\"refresh_token\"} 0",
        "logins_total{outcome=\"ok\"} 0",
        "logins_total{outcome=\"refused\"} 0",
        "logins_total{outcome=\"throttled\"} 0",
        "job_runs_total{job=\"keys\",outcome=\"failed\"} 0",
        "job_runs_total{job=\"retention\",outcome=\"failed\"} 0",
        "requests_limited_total{limit=\"token_address\"} 0",
        "requests_limited_total{limit=\"registration\"} 0",
        "requests_limited_total{limit=\"cimd\"} 0",
        "requests_limited_total{limit=\"user_code\"} 0",
        "log_lines_dropped_total 0",
        "http_unreadable_requests_total 0",
        "config_last_reload_successful 1",
    ] {
        assert!(
            metrics.contains(&format!("doorward_{series}\n")),
            "{series} is not in {metrics}"
        );
    }
    assert!(metrics.contains("doorward_build_info{version=\""), "{metrics}");
    assert!(
        metrics.contains("\nprocess_start_time_seconds 1800000000\n"),
        "{metrics}"
    );
}

/// [KEY-001]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_reads_and_rotates_at_once_the_key_that_signs_is_the_newest() {
    let app = TestApp::new().await;
    // Fewer keys than may be published.
    for _ in 0..10 {
        let changes: Vec<_> = (0..16)
            .map(|number| {
                let ctx = std::sync::Arc::clone(&app.context);
                tokio::spawn(async move {
                    if number % 2 == 0 {
                        ctx.keys.rotate_now().await.unwrap();
                    } else {
                        ctx.keys.reload().await.unwrap();
                    }
                })
            })
            .collect();
        for change in changes {
            change.await.unwrap();
        }
        let stored = app.context.store.signing_keys().await.unwrap();
        let known: Vec<_> = app
            .context
            .keys
            .statuses()
            .into_iter()
            .map(|key| key.record)
            .collect();
        assert_eq!(known, stored);
        assert_eq!(app.context.keys.signer().key_id(), stored[0].key_id);
    }
}
