//! What a change can say: `null`, `disabled`, and what is so already.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{Operator, assert_refused, operator};
use crate::support::{Browser, EMAIL, PASSWORD, REDIRECT};

/// A record of each kind, with everything that it can be without.
async fn records(operator: &Operator) -> Vec<(String, Vec<&'static str>)> {
    let claims = json!({"tenant": "north"});
    let policy = json!({"access_ttl": 60, "refresh_idle_ttl": 600, "refresh_absolute_ttl": 6000, "max_auth_age": 6, "claims": claims});
    let scopes = json!([{"name": "files:read"}]);
    let body =
        json!({"slug": "files", "uri": "https://files.example/mcp", "scopes": scopes, "policy": policy});
    operator.create("/admin/resources", body).await;
    let body = json!({"client_name": "App", "redirect_uris": [REDIRECT], "scope": "files:read", "jwks_uri": "https://app.example/keys"});
    let client = operator.create("/admin/clients", body).await;
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    let bob = operator.create("/admin/users", body).await;
    let rule = json!({"name": "deploy", "claims": {"sub": "a"}, "resource": "files", "scope": "files:read"});
    let body = json!({"slug": "ci", "kind": "workload", "issuer": "https://ci.example", "jwks_uri": "https://ci.example/keys", "rules": [rule]});
    operator.create("/admin/trusted-issuers", body).await;
    let rule =
        json!({"name": "all", "client_ids": ["*"], "resource": "https://chat.example/mcp", "scope": "read"});
    let body = json!({"slug": "chat", "issuer": "https://chat.example", "rules": [rule]});
    operator.create("/admin/assertion-audiences", body).await;
    let id = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    vec![
        (
            "/admin/resources/files".to_owned(),
            vec!["display_name", "scopes", "policy"],
        ),
        (
            format!("/admin/clients/{}", id(&client, "client_id")),
            vec![
                "client_name",
                "redirect_uris",
                "dpop_bound_access_tokens",
                "require_pushed_authorization_requests",
                "disabled",
            ],
        ),
        (
            format!("/admin/users/{}", id(&bob, "id")),
            vec!["email", "name", "password", "disabled"],
        ),
        (
            "/admin/trusted-issuers/ci".to_owned(),
            vec![
                "disabled",
                "algorithms",
                "audiences",
                "max_lifetime",
                "single_use",
                "public_clients",
                "provision",
                "id_token_clients",
                "rules",
            ],
        ),
        (
            "/admin/assertion-audiences/chat".to_owned(),
            vec!["disabled", "lifetime", "person_claims", "client_names", "rules"],
        ),
    ]
}

#[tokio::test]
async fn null_is_refused_for_what_a_record_cannot_be_without() {
    let operator = operator().await;
    for (path, members) in records(&operator).await {
        let before = operator.get(&path).await;
        for member in members {
            let reply = operator.call("PATCH", &path, json!({member: null})).await;
            assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
            let said = reply.json()["error_description"].to_string();
            assert!(
                said.contains("null") && said.contains("leave"),
                "{path} {member}: {said}"
            );
        }
        assert_eq!(operator.get(&path).await, before);
    }
    for member in [
        "dpop_bound_access_tokens_required",
        "exchange_clients",
        "person_claims",
        "claims",
    ] {
        let change = json!({"policy": {member: null}});
        let reply = operator.call("PATCH", "/admin/resources/files", change).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    }
}

#[tokio::test]
async fn null_takes_away_what_a_record_can_be_without() {
    let operator = operator().await;
    let records = records(&operator).await;
    let client = &records[1].0;
    let patch = async |path: &str, change: Value| {
        let reply = operator.call("PATCH", path, change).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    };
    let changed = patch(client, json!({"scope": null})).await;
    assert_eq!(
        (changed.get("scope"), &changed["jwks_uri"]),
        (None, &json!("https://app.example/keys"))
    );
    // What it has not cannot be taken away, and nothing else is.
    assert_eq!(patch(client, json!({"jwks": null})).await, changed);
    let changed = patch(client, json!({"jwks_uri": null})).await;
    assert_eq!(changed.get("jwks_uri"), None);

    let issuer = "/admin/trusted-issuers/ci";
    let before = operator.get(issuer).await;
    assert_eq!(patch(issuer, json!({"jwks": null})).await, before);
    // A variable that nobody set: keys that were given are not given up for it.
    let reply = operator.call("PATCH", issuer, json!({"jwks_uri": ""})).await;
    assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(operator.get(issuer).await, before);
    assert_eq!(
        patch(issuer, json!({"jwks_uri": null})).await.get("jwks_uri"),
        None
    );

    let resource = "/admin/resources/files";
    for member in [
        "access_ttl",
        "refresh_idle_ttl",
        "refresh_absolute_ttl",
        "max_auth_age",
    ] {
        let changed = patch(resource, json!({"policy": {member: null}})).await;
        assert_eq!(changed["policy"].get(member), None, "{member}");
    }
    assert_eq!(
        operator.get(resource).await["policy"]["claims"],
        json!({"tenant": "north"})
    );
}

/// A program that sends what the document says is there by itself changes nothing.
#[test]
fn no_member_of_a_change_has_a_default() {
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let schemas = &document["components"]["schemas"];
    for (name, nullable) in [
        ("ResourceChange", &[][..]),
        (
            "PolicyChange",
            &[
                "access_ttl",
                "max_auth_age",
                "refresh_absolute_ttl",
                "refresh_idle_ttl",
            ],
        ),
        ("ClientChange", &["jwks", "jwks_uri", "scope"]),
        ("UserChange", &[]),
        ("TermsChange", &["jwks", "jwks_uri"]),
        ("TrustedIssuerChange", &[]),
        ("AudienceTermsChange", &[]),
        ("AssertionAudienceChange", &[]),
    ] {
        let text = schemas[name].to_string();
        assert!(
            schemas[name].is_object() && !text.contains("\"default\""),
            "{name}: {text}"
        );
        assert!(!text.contains("\"required\""), "{name}: {text}");
        let members = schemas[name]["properties"].as_object().into_iter().flatten();
        let takes_null = |schema: &Value| schema.to_string().contains("\"null\"");
        let names: Vec<&str> = members
            .filter(|(_, schema)| takes_null(schema))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, nullable, "{name}");
    }
}

#[tokio::test]
async fn whatever_can_be_disabled_can_be_from_the_beginning_and_by_a_change() {
    let operator = operator().await;
    for (base, name, body) in [
        (
            "/admin/clients",
            "client_id",
            json!({"client_name": "App", "redirect_uris": [REDIRECT]}),
        ),
        (
            "/admin/users",
            "id",
            json!({"email": "bob@example.com", "password": PASSWORD}),
        ),
        (
            "/admin/trusted-issuers",
            "slug",
            json!({"slug": "ci", "kind": "workload", "issuer": "https://ci.example"}),
        ),
        (
            "/admin/assertion-audiences",
            "slug",
            json!({"slug": "chat", "issuer": "https://chat.example"}),
        ),
    ] {
        let mut disabled = body;
        disabled["disabled"] = true.into();
        let created = operator.create(base, disabled).await;
        assert_eq!(created["disabled"], true, "{base}");
        let path = format!("{base}/{}", created[name].as_str().unwrap());
        assert_eq!(operator.get(&path).await["disabled"], true);
        for disabled in [false, true] {
            let reply = operator.call("PATCH", &path, json!({"disabled": disabled})).await;
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
            assert_eq!(operator.get(&path).await["disabled"], disabled, "{base}");
        }
    }
}

/// ADMIN-008, by a change like any other.
#[tokio::test]
async fn a_person_who_is_disabled_by_a_change_is_out_at_once() {
    let operator = operator().await;
    let browser = operator.app.signed_in().await;
    let signed_in = browser.open("/login").await;
    let path = format!("/admin/users/{}", operator.app.user.id.0);
    operator.call("PATCH", &path, json!({"disabled": true})).await;
    assert_ne!(browser.open("/login").await.text(), signed_in.text());
    let body = json!({"email": "bob@example.com", "password": PASSWORD, "disabled": true});
    operator.create("/admin/users", body).await;
    for email in [EMAIL, "bob@example.com"] {
        let browser = Browser::new(operator.app.public.clone());
        let reply = browser.sign_in("/login", email, PASSWORD).await;
        assert!(browser.cookie("session").is_none(), "{email}: {reply:?}");
    }
}

#[tokio::test]
async fn who_is_enabled_or_disabled_already_is_told_once() {
    let operator = operator().await;
    let path = format!("/admin/users/{}", operator.app.user.id.0);
    let verb = async |verb: &str, body: Value| {
        operator.app.wait(10);
        operator.call("POST", &format!("{path}/{verb}"), body).await
    };
    for (word, disabled) in [
        ("enable", false),
        ("disable", true),
        ("disable", true),
        ("enable", false),
        ("enable", false),
    ] {
        let before = operator.get(&path).await;
        let after = verb(word, Value::Null).await.json();
        assert_eq!(after["disabled"], disabled);
        let is_same = before["disabled"] == after["disabled"];
        assert_eq!(
            is_same,
            before["updated_at"] == after["updated_at"],
            "{word}: {before} {after}"
        );
    }
    for word in ["enable", "disable"] {
        let reply = verb(word, json!({"reason": "left"})).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        assert_eq!(verb(word, json!({})).await.status, StatusCode::OK);
    }
    operator.app.context.audit.settled().await;
    let audit = operator.get("/admin/audit?outcome=done&limit=200").await;
    let lines = audit["items"].as_array().unwrap().iter();
    let told: Vec<&str> = lines
        .map(|line| line["action"].as_str().unwrap())
        .filter(|action| action.starts_with("user."))
        .collect();
    assert_eq!(told, ["user.disabled", "user.enabled", "user.disabled"]);
}
