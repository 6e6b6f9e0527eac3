//! What operators do, and the server itself.

use std::time::Duration;

use doorward_server::config::{DynamicRegistration, Rate, Span};
use doorward_server::reload::Reloaded;
use doorward_store::{AuditFilter, PageRequest};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Browser, PASSWORD, REDIRECT, TestApp};
use crate::told::{admin, done, told, words};

#[tokio::test]
async fn what_the_server_did_at_its_start_is_told_as_its_own() {
    let app = TestApp::empty(|settings| settings.admin.bootstrap_key = Some(ADMIN_KEY.into())).await;
    let list = done(&admin(&app, "GET", "/admin/audit?actor=system", Value::Null).await);
    let mut actions = words(list["items"].as_array().unwrap(), "action");
    actions.sort();
    let expected = [
        "server_secret.created",
        "server_secret.created",
        "signing_key.created",
    ];
    assert_eq!(actions, expected, "with that of the admin key by setting");
    let own = TestApp::empty(|_| {}).await;
    own.server.make_first_admin_key().await.unwrap().unwrap();
    let page = own
        .context
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await;
    assert_eq!(page.unwrap().items.len(), 3, "with the first admin key");
}

/// ADMIN-009: who, what, when, from where, with what outcome.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "every operation once")]
async fn everything_that_an_operator_does_is_told() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.registration.dcr = DynamicRegistration::InitialAccessToken;
    })
    .await;
    let call = async |method: &str, path: &str, body: Value| done(&admin(&app, method, path, body).await);
    call(
        "POST",
        "/admin/resources",
        json!({"slug": "two", "uri": "https://two.example/mcp"}),
    )
    .await;
    call("PATCH", "/admin/resources/two", json!({"display_name": "Two"})).await;
    call("DELETE", "/admin/resources/two", Value::Null).await;
    let client = json!({"client_name": "A", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let client = call("POST", "/admin/clients", client).await;
    let one = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    call("PATCH", &one, json!({"client_name": "B"})).await;
    call("POST", &format!("{one}/rotate-secret"), Value::Null).await;
    call("PATCH", &one, json!({"disabled": true})).await;
    call("PATCH", &one, json!({"disabled": false})).await;
    call("DELETE", &one, Value::Null).await;
    let user = call(
        "POST",
        "/admin/users",
        json!({"email": "g@example.com", "password": PASSWORD}),
    )
    .await;
    let user = user["id"].as_str().unwrap().to_owned();
    let one = format!("/admin/users/{user}");
    call("PATCH", &one, json!({"name": "Grace"})).await;
    call("PATCH", &one, json!({"password": "another long password"})).await;
    call("POST", &format!("{one}/disable"), Value::Null).await;
    call("POST", &format!("{one}/enable"), Value::Null).await;
    let initial = call("POST", "/admin/initial-access-tokens", json!({"name": "team"})).await;
    let initial = initial["id"].as_str().unwrap().to_owned();
    call(
        "DELETE",
        &format!("/admin/initial-access-tokens/{initial}"),
        Value::Null,
    )
    .await;
    let key = call("POST", "/admin/admin-keys", json!({"name": "ada"})).await;
    let key = key["id"].as_str().unwrap().to_owned();
    call("DELETE", &format!("/admin/admin-keys/{key}"), Value::Null).await;
    let issuer = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example"});
    call("POST", "/admin/trusted-issuers", issuer).await;
    let link = json!({"subject": "00u1", "user": user});
    call("POST", "/admin/trusted-issuers/idp/subjects", link).await;
    call(
        "DELETE",
        "/admin/trusted-issuers/idp/subjects?subject=00u1",
        Value::Null,
    )
    .await;
    call(
        "PATCH",
        "/admin/trusted-issuers/idp",
        json!({"max_lifetime": 300}),
    )
    .await;
    call("DELETE", "/admin/trusted-issuers/idp", Value::Null).await;
    let audience = json!({"slug": "chat", "issuer": "https://chat.example"});
    call("POST", "/admin/assertion-audiences", audience).await;
    call(
        "PATCH",
        "/admin/assertion-audiences/chat",
        json!({"disabled": true}),
    )
    .await;
    call("DELETE", "/admin/assertion-audiences/chat", Value::Null).await;
    call("DELETE", &one, Value::Null).await;
    let key = call("POST", "/admin/keys/rotate", json!({"now": true})).await;
    let key = key["key_id"].as_str().unwrap().to_owned();
    call("POST", &format!("/admin/keys/{key}/revoke"), Value::Null).await;
    // A second "rotate" gives the key that waits already: nothing changes.
    call("POST", "/admin/keys/rotate", Value::Null).await;
    call("POST", "/admin/keys/rotate", Value::Null).await;

    let lines = told(&app, "").await;
    let expected = [
        "resource.created",
        "resource.updated",
        "resource.deleted",
        "client.created",
        "client.updated",
        "client.secrets_changed",
        "client.disabled",
        "client.enabled",
        "client.deleted",
        "user.created",
        "user.updated",
        "user.password_changed",
        "user.disabled",
        "user.enabled",
        "initial_token.created",
        "initial_token.deleted",
        "admin_key.created",
        "admin_key.deleted",
        "trusted_issuer.created",
        "trusted_issuer.subject_linked",
        "trusted_issuer.subject_unlinked",
        "trusted_issuer.updated",
        "trusted_issuer.deleted",
        "assertion_audience.created",
        "assertion_audience.disabled",
        "assertion_audience.deleted",
        "user.deleted",
        "signing_key.rotated",
        "signing_key.revoked",
        "signing_key.created",
    ];
    assert_eq!(words(&lines, "action"), expected);
    for line in &lines {
        assert_eq!(
            (&line["outcome"], &line["actor"]),
            (&json!("done"), &json!("admin_key")),
            "{line}"
        );
        assert_eq!(line["actor_id"], "bootstrap", "{line}");
        assert!(
            line["request_id"].is_string() && line["address"].is_string(),
            "{line}"
        );
        let one = admin(
            &app,
            "GET",
            &format!("/admin/audit/{}", line["id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
        assert_eq!(done(&one), *line);
    }
    assert_eq!(lines[4]["detail"]["changed"], json!(["metadata"]));
    assert_eq!(lines[0]["target"], "two");
    assert_eq!(lines[9]["subject"], user.as_str());
}

/// A change to what is there already leaves no line and no other time.
#[tokio::test]
async fn what_changes_nothing_is_not_told() {
    let app = TestApp::with_admin_key().await;
    let client = json!({"client_name": "A", "redirect_uris": [REDIRECT]});
    let client = done(&admin(&app, "POST", "/admin/clients", client).await);
    let client = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    let issuer = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example"});
    done(&admin(&app, "POST", "/admin/trusted-issuers", issuer).await);
    let audience = json!({"slug": "chat", "issuer": "https://chat.example", "lifetime": 60});
    done(&admin(&app, "POST", "/admin/assertion-audiences", audience).await);
    let user = format!("/admin/users/{}", app.user.id.0);
    let before = told(&app, "").await;
    let same = [
        (&*user, "name"),
        (&*user, "email"),
        (&*client, "client_name"),
        (&*client, "redirect_uris"),
        (&*client, "disabled"),
        ("/admin/resources/mcp", "display_name"),
        ("/admin/resources/mcp", "scopes"),
        ("/admin/trusted-issuers/idp", "max_lifetime"),
        ("/admin/trusted-issuers/idp", "disabled"),
        ("/admin/assertion-audiences/chat", "lifetime"),
        ("/admin/assertion-audiences/chat", "disabled"),
    ];
    for (path, member) in same {
        let record = done(&admin(&app, "GET", path, Value::Null).await);
        for change in [json!({}), json!({member: record[member]})] {
            let changed = done(&admin(&app, "PATCH", path, change.clone()).await);
            assert_eq!(changed, record, "{path} {change}");
        }
    }
    assert_eq!(told(&app, "").await, before);
}

/// What an operator may not or cannot do is told too, and that somebody is none.
#[tokio::test]
async fn what_an_operator_is_refused_is_told() {
    let app = TestApp::with_admin_key().await;
    let refused = admin(
        &app,
        "POST",
        "/admin/resources",
        json!({"slug": "mcp", "uri": "https://x.example/mcp"}),
    )
    .await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    let error_id = refused.json()["error_id"].as_str().unwrap().to_owned();
    admin(
        &app,
        "DELETE",
        "/admin/users/00000000-0000-4000-8000-000000000000",
        Value::Null,
    )
    .await;
    let stranger = Browser::new(app.admin.clone());
    let reply = stranger
        .send(
            "DELETE",
            "/admin/resources/mcp",
            &[("authorization", "Bearer dwk_no")],
            String::new(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let lines = told(&app, "").await;
    assert_eq!(words(&lines, "action"), ["request.refused"; 3]);
    assert_eq!(words(&lines, "actor"), ["admin_key", "admin_key", "anyone"]);
    assert_eq!(
        words(&lines, "target"),
        [
            "POST /admin/resources",
            "DELETE /admin/users/{id}",
            "DELETE /admin/resources/{slug}"
        ]
    );
    assert_eq!(words(&lines, "outcome"), ["refused"; 3]);
    assert_eq!(lines[0]["detail"]["status"], 409);
    let found = told(&app, &format!("&request_id={error_id}")).await;
    assert_eq!(found, lines[..1]);
    let address = lines[0]["address"].as_str().unwrap();
    for (address, number) in [
        (address.to_owned(), lines.len()),
        (format!("::ffff:{address}"), lines.len()),
        ("203.0.113.99".to_owned(), 0),
    ] {
        let found = told(&app, &format!("&outcome=refused&address={address}")).await;
        assert_eq!(found.len(), number, "{address}");
    }
}

/// By their names, once: what was read before is no news.
#[tokio::test]
async fn settings_that_were_read_again_are_told_without_their_values() {
    let app = TestApp::with_admin_key().await;
    let mut settings = app.context.settings.clone();
    assert_eq!(app.context.reload(&settings), Reloaded::default());
    settings.rate_limit.token_address = Rate::OFF;
    settings.admin.bootstrap_key = Some("dwk_another-key-for-this-test-only-9876543210".into());
    let reloaded = |now: &[&str]| Reloaded {
        in_force: now.iter().copied().map(str::to_owned).collect(),
        at_next_start: vec!["admin.bootstrap_key".to_owned()],
    };
    let changed = ["rate_limit.token_address"];
    assert_eq!(app.context.reload(&settings), reloaded(&changed));
    assert_eq!(app.context.reload(&settings), reloaded(&[]));
    settings.rate_limit.token_address = app.context.settings.rate_limit.token_address;
    assert_eq!(app.context.reload(&settings), reloaded(&changed));
    // What a request reads is told as what waits, beside what jobs and the end read.
    settings.tokens.access_ttl = Span::minutes(7);
    settings.audit.retention = Span::days(7);
    settings.server.shutdown_delay = Span::seconds(3);
    let told = app.context.reload(&settings);
    assert_eq!(told.in_force, ["server.shutdown_delay", "audit.retention"]);
    assert_eq!(told.at_next_start, ["admin.bootstrap_key", "tokens.access_ttl"]);
    assert_eq!(app.context.shutdown_delay(), Duration::from_secs(3));
    app.context.audit.settled().await;
    let path = "/admin/audit?action=settings.reloaded";
    let list = done(&admin(&app, "GET", path, Value::Null).await);
    let lines = list["items"].as_array().unwrap();
    // Written at once, the same second: in no order.
    assert_eq!(lines.len(), 3, "{list:#}");
    let both = json!({"changed": ["admin.bootstrap_key", "rate_limit.token_address"], "at_next_start": ["admin.bootstrap_key"]});
    let one = json!({"changed": ["rate_limit.token_address"], "at_next_start": []});
    let later = json!({
        "changed": ["server.shutdown_delay", "tokens.access_ttl", "audit.retention"], "at_next_start": ["tokens.access_ttl"],
    });
    let details: Vec<_> = lines.iter().map(|line| &line["detail"]).collect();
    assert!(
        [&both, &one, &later].iter().all(|told| details.contains(told)),
        "{list:#}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line["actor"] == "system" && line["outcome"] == "done")
    );
    assert!(!list.to_string().contains("dwk_another"));
}

/// ADMIN-009: the list can be read, and nothing else.
#[tokio::test]
async fn the_list_can_only_be_read() {
    let app = TestApp::with_admin_key().await;
    let id = done(&admin(&app, "GET", "/admin/audit", Value::Null).await)["items"][0]["id"].clone();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/admin/audit", &format!("/admin/audit/{}", id.as_str().unwrap())] {
            let reply = admin(&app, method, path, json!({})).await;
            assert_eq!(
                reply.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path} {reply:?}"
            );
        }
    }
    for wrong in [
        "action=nothing",
        "outcome=maybe",
        "actor=dog",
        "limit=0",
        "limit=201",
        "cursor=forged",
        "since=now",
        "grant=x",
        "sort=id",
    ] {
        let reply = admin(&app, "GET", &format!("/admin/audit?{wrong}"), Value::Null).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong} {reply:?}");
    }
    let unknown = admin(&app, "GET", "/admin/audit/nothing", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
