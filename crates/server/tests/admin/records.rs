//! Resources, people and grants.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::{Authorization, PASSWORD, REDIRECT, RESOURCE};

/// CONTRACT §4.
#[tokio::test]
async fn resources_are_made_changed_and_removed() {
    let operator = operator().await;
    let resource = json!({
        "slug": "files",
        "uri": "https://files.example/mcp",
        "backend_kind": "mint",
        "display_name": "Files",
        "scopes": [{"name": "files:read", "description": "Read files", "upstream": ""}],
    });
    let created = operator.create("/admin/resources", resource.clone()).await;
    assert_eq!(created["uri"], "https://files.example/mcp");
    assert_refused(
        &operator.call("POST", "/admin/resources", resource).await,
        StatusCode::CONFLICT,
        "conflict",
    );
    let alias = json!({"slug": "alias", "uri": "https://FILES.example:443/mcp"});
    let reply = operator.call("POST", "/admin/resources", alias).await;
    assert!(
        matches!(reply.status, StatusCode::CONFLICT | StatusCode::BAD_REQUEST),
        "{reply:?}"
    );

    let change = json!({"scopes": [{"name": "files:read"}, {"name": "files:write", "default": false}]});
    let changed = operator
        .call("PATCH", "/admin/resources/files", change)
        .await
        .json();
    assert_eq!(changed["scopes"][1]["name"], "files:write");
    assert_eq!(changed["display_name"], "Files");
    assert_eq!(
        operator.get("/admin/resources").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let metadata = operator
        .app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(
        metadata["scopes_supported"]
            .as_array()
            .unwrap()
            .contains(&json!("files:write")),
        "seen at once"
    );

    assert_eq!(
        operator
            .call("DELETE", "/admin/resources/files", Value::Null)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let gone = operator.call("GET", "/admin/resources/files", Value::Null).await;
    assert_refused(&gone, StatusCode::NOT_FOUND, "not_found");
}

/// ADMIN-008.
#[tokio::test]
async fn a_disabled_person_is_out_everywhere_at_once() {
    let operator = operator().await;
    let body = json!({"email": "Bob@example.com", "name": "Bob", "password": PASSWORD});
    let bob = operator.create("/admin/users", body.clone()).await;
    assert!(bob.get("password").is_none() && bob.get("password_hash").is_none());
    let again = json!({"email": "bob@EXAMPLE.com", "password": PASSWORD});
    assert_refused(
        &operator.call("POST", "/admin/users", again).await,
        StatusCode::CONFLICT,
        "conflict",
    );

    let browser = operator.app.browser();
    browser.sign_in("/login", "bob@example.com", PASSWORD).await;
    let signed_in = browser.open("/login").await;
    let path = format!("/admin/users/{}", bob["id"].as_str().unwrap());
    let disabled = operator
        .call("POST", &format!("{path}/disable"), Value::Null)
        .await
        .json();
    assert_eq!(disabled["disabled"], true);
    assert_ne!(browser.open("/login").await.text(), signed_in.text());
    let enabled = operator
        .call("POST", &format!("{path}/enable"), Value::Null)
        .await
        .json();
    assert_eq!(enabled["disabled"], false);
    assert_eq!(
        operator.call("DELETE", &path, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_refused(
        &operator.call("GET", &path, Value::Null).await,
        StatusCode::NOT_FOUND,
        "not_found",
    );
}

/// ADMIN-008, CWE-362: a change that began before does not enable a person again.
#[tokio::test]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let operator = operator().await;
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    let bob = operator.create("/admin/users", body).await;
    let path = format!("/admin/users/{}", bob["id"].as_str().unwrap());
    let disable_path = format!("{path}/disable");
    // The new password takes its time to hash, with the person as it was in hand.
    let change = operator.call(
        "PATCH",
        &path,
        json!({"name": "Robert", "password": "another long password"}),
    );
    let disable = operator.call("POST", &disable_path, Value::Null);
    let (changed, disabled) = tokio::join!(change, disable);
    assert_eq!(
        (changed.status, disabled.status),
        (StatusCode::OK, StatusCode::OK)
    );
    let bob = operator.get(&path).await;
    assert_eq!((&bob["disabled"], &bob["name"]), (&json!(true), &json!("Robert")));

    // The same address with and without the slash at the root: one of the two.
    let resource = |slug: &str, uri: &str| json!({"slug": slug, "uri": uri});
    let (one, other) = tokio::join!(
        operator.call(
            "POST",
            "/admin/resources",
            resource("one", "https://root.example")
        ),
        operator.call(
            "POST",
            "/admin/resources",
            resource("other", "https://root.example/")
        ),
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn grants_are_listed_and_cut() {
    let operator = operator().await;
    let body = json!({"client_name": "App", "redirect_uris": [REDIRECT]});
    let client = operator.create("/admin/clients", body).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = operator
        .app
        .approve(&operator.app.browser(), &Authorization::new(&client, REDIRECT))
        .await;
    let token = operator.app.redeem(&client, &reply).await.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();

    let grants = operator
        .get(&format!("/admin/grants?client_id={client}&state=active"))
        .await;
    let grant = grants["items"][0].clone();
    assert_eq!(
        (&grant["scope"], &grant["resource"]),
        (&json!("mcp:read"), &json!(RESOURCE))
    );
    let path = format!("/admin/grants/{}", grant["id"].as_str().unwrap());
    assert_eq!(
        operator.call("DELETE", &path, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    let ended = operator.get(&path).await;
    assert_eq!(
        (&ended["state"], &ended["end_reason"]),
        (&json!("ended"), &json!("revoked_by_admin"))
    );
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", &*token),
    ];
    assert_eq!(operator.app.token(&form).await.json()["error"], "invalid_grant");
    assert!(
        operator.get("/admin/grants?state=active").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// ADMIN-010.
#[tokio::test]
async fn lists_come_in_pages_and_cursors_cannot_be_made_up() {
    let operator = operator().await;
    for number in 0..5 {
        operator
            .create(
                "/admin/clients",
                json!({"client_name": format!("c{number}"), "redirect_uris": [REDIRECT]}),
            )
            .await;
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = operator.get(&format!("/admin/clients{query}")).await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["client_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    let (count, mut unique) = (seen.len(), seen);
    unique.sort();
    unique.dedup();
    assert_eq!((count, unique.len()), (5, 5));

    let cursor = query.split_once("cursor=").unwrap().1.to_owned();
    let bad = [
        "clients?limit=0".to_owned(),
        "clients?limit=1000000000".to_owned(),
        "clients?limit=abc".to_owned(),
        "clients?cursor=forged".to_owned(),
        "clients?sort=secret_hash".to_owned(),
        format!("users?cursor={cursor}"),
        "grants?state=none".to_owned(),
        "grants?user=x".to_owned(),
        "grants?clientid=x".to_owned(),
    ];
    for path in bad {
        let reply = operator.call("GET", &format!("/admin/{path}"), Value::Null).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    }
}

/// A rule on a resource would be there unchanged, and live, for whatever takes its URI later.
#[tokio::test]
async fn a_resource_stays_as_long_as_somebodys_word_counts_for_it() {
    let operator = operator().await;
    let rule = json!({"name": "deploy", "claims": {"sub": "a"}, "resource": "mcp", "scope": "mcp:read"});
    let other = json!({"name": "other", "claims": {"sub": "b"}, "resource": "files", "scope": "mcp:read"});
    let files =
        json!({"slug": "files", "uri": "https://files.example/mcp", "scopes": [{"name": "mcp:read"}]});
    operator.create("/admin/resources", files).await;
    for (slug, rules) in [
        ("ci", json!([rule, other])),
        ("lab", json!([rule])),
        ("off", json!([other])),
    ] {
        let issuer = format!("https://{slug}.example");
        let body = json!({"slug": slug, "kind": "workload", "issuer": issuer, "rules": rules});
        operator.create("/admin/trusted-issuers", body).await;
    }
    operator
        .call("PATCH", "/admin/trusted-issuers/lab", json!({"disabled": true}))
        .await;
    let kept = operator.call("DELETE", "/admin/resources/mcp", Value::Null).await;
    assert_refused(&kept, StatusCode::CONFLICT, "conflict");
    let said = kept.json()["error_description"].as_str().unwrap().to_owned();
    assert!(
        said.contains("`ci`") && said.contains("`lab`") && !said.contains("`off`"),
        "{said}"
    );
    operator.get("/admin/resources/mcp").await;

    for (slug, rules) in [("ci", json!([other])), ("lab", json!([]))] {
        let path = format!("/admin/trusted-issuers/{slug}");
        let reply = operator.call("PATCH", &path, json!({"rules": rules})).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }
    let gone = operator.call("DELETE", "/admin/resources/mcp", Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    let late = operator
        .call(
            "PATCH",
            "/admin/trusted-issuers/ci",
            json!({"rules": [other, rule]}),
        )
        .await;
    assert_refused(&late, StatusCode::BAD_REQUEST, "invalid_request");
    assert!(late.body.contains("`deploy`"), "which rule it is: {}", late.body);
}

/// It could ask about nothing any more, and could not be given another resource.
#[tokio::test]
async fn a_client_that_only_introspects_goes_with_its_resource() {
    let operator = operator().await;
    let mut ids = Vec::new();
    for body in [
        json!({"client_name": "Guard", "resource_server": "mcp"}),
        json!({"client_name": "Second guard", "resource_server": "mcp"}),
        json!({"client_name": "App", "resource_server": "mcp", "redirect_uris": [REDIRECT]}),
    ] {
        let client = operator.create("/admin/clients", body).await;
        ids.push(client["client_id"].as_str().unwrap().to_owned());
    }
    operator.call("DELETE", "/admin/resources/mcp", Value::Null).await;
    for id in &ids[..2] {
        let gone = operator
            .call("GET", &format!("/admin/clients/{id}"), Value::Null)
            .await;
        assert_refused(&gone, StatusCode::NOT_FOUND, "not_found");
    }
    let app = operator.get(&format!("/admin/clients/{}", ids[2])).await;
    assert_eq!(
        (&app["client_name"], app.get("resource_server")),
        (&json!("App"), None)
    );

    operator.app.context.audit.settled().await;
    let lines = |audit: Value| {
        let items = audit["items"].as_array().unwrap().iter();
        let lines = items.map(|line| line["client_id"].as_str().unwrap().to_owned());
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    let mut guards = ids[..2].to_vec();
    guards.sort();
    let deleted = operator.get("/admin/audit?action=client.deleted").await;
    assert!(
        deleted["items"][0]["detail"]["resource_server"] == "mcp",
        "{deleted}"
    );
    assert_eq!(lines(deleted), guards);
    let updated = operator.get("/admin/audit?action=client.updated").await;
    assert_eq!(lines(updated), ids[2..]);
}
