//! Changes of what somebody has read (RFC 9110 §13.1.1).

use axum::Router;
use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{Operator, assert_refused, operator};
use crate::support::{ADMIN_KEY, Authorization, Browser, PASSWORD, REDIRECT, Reply};

/// Calls the API as somebody who has read something.
async fn if_match(router: &Router, method: &str, path: &str, tags: &[&str], body: &Value) -> Reply {
    let authorization = format!("Bearer {ADMIN_KEY}");
    let mut headers = vec![
        ("content-type", "application/json"),
        ("authorization", &*authorization),
    ];
    headers.extend(tags.iter().map(|tag| ("if-match", *tag)));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let browser = Browser::new(router.clone());
    browser.send(method, path, &headers, body).await
}

/// The tag of a record, as it stands now.
async fn tag(operator: &Operator, path: &str) -> String {
    let reply = operator.call("GET", path, Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let tag = reply.header("etag").to_owned();
    assert!(
        tag.starts_with('"') && tag.ends_with('"') && tag.len() > 40,
        "{reply:?}"
    );
    tag
}

/// One of each kind that can be changed: where it is added, what it is, its address by the name, a change.
fn records() -> [(&'static str, Value, &'static str, Value); 5] {
    [
        (
            "/admin/resources",
            json!({"slug": "files", "uri": "https://files.example/mcp"}),
            "slug",
            json!({"display_name": "Other"}),
        ),
        (
            "/admin/clients",
            json!({"client_name": "App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"}),
            "client_id",
            json!({"client_name": "Other"}),
        ),
        (
            "/admin/users",
            json!({"email": "bob@example.com", "password": PASSWORD}),
            "id",
            json!({"name": "Other"}),
        ),
        (
            "/admin/trusted-issuers",
            json!({"slug": "ci", "kind": "workload", "issuer": "https://ci.example"}),
            "slug",
            json!({"max_lifetime": 77}),
        ),
        (
            "/admin/assertion-audiences",
            json!({"slug": "chat", "issuer": "https://chat.example"}),
            "slug",
            json!({"lifetime": 77}),
        ),
    ]
}

/// RFC 9110 §8.8.3, §13.1.1.
#[tokio::test]
async fn a_record_is_changed_and_removed_only_as_it_was_read() {
    let operator = operator().await;
    for (base, record, name, change) in records() {
        let created = operator.call("POST", base, record).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        let path = format!("{base}/{}", created.json()[name].as_str().unwrap());
        let first = tag(&operator, &path).await;
        assert_eq!(
            created.header("etag"),
            first,
            "{base}: as it is shown from now on"
        );
        assert_eq!(tag(&operator, &path).await, first, "reading changes nothing");

        // The clock of the test stands still: `updated_at` tells nothing.
        let admin = &operator.app.admin;
        let changed = if_match(admin, "PATCH", &path, &[&first], &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
        let second = tag(&operator, &path).await;
        assert_ne!(first, second);
        assert_eq!(changed.header("etag"), second, "{base}");

        let before = operator.get(&path).await;
        for (method, body) in [("PATCH", &change), ("DELETE", &Value::Null)] {
            let late = if_match(admin, method, &path, &[&first], body).await;
            assert_refused(&late, StatusCode::PRECONDITION_FAILED, "precondition_failed");
            let sentence = late.json()["error_description"].as_str().unwrap().to_owned();
            assert!(sentence.contains("read it again"), "{sentence}");
        }
        assert_eq!(operator.get(&path).await, before);
        let gone = if_match(admin, "DELETE", &path, &[&second], &Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
        let again = if_match(admin, "DELETE", &path, &[&second], &Value::Null).await;
        assert_refused(&again, StatusCode::NOT_FOUND, "not_found");
    }
}

/// Use moves the time of the last use, and an operator's condition has to hold nevertheless.
#[tokio::test]
async fn use_does_not_make_a_grant_another_one() {
    let operator = operator().await;
    let app = &operator.app;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    let code = app
        .approve(&browser, &Authorization::new(&client_id, REDIRECT))
        .await;
    let token = app.redeem(&client_id, &code).await.json();
    let path = format!("/admin/grants/{}", app.grants().await[0].id.0);
    let first = tag(&operator, &path).await;
    app.wait(5);
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client_id),
        ("refresh_token", token["refresh_token"].as_str().unwrap()),
    ];
    assert_eq!(app.token(&form).await.status, StatusCode::OK);
    assert_eq!(tag(&operator, &path).await, first);
    let gone = if_match(&app.admin, "DELETE", &path, &[&first], &Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_ne!(tag(&operator, &path).await, first);
}

#[tokio::test]
async fn a_condition_is_a_star_or_a_list_of_strong_tags() {
    let operator = operator().await;
    let admin = &operator.app.admin;
    let path = "/admin/resources/mcp";
    let change = json!({"display_name": "As it was"});
    operator.call("PATCH", path, change.clone()).await;
    let tag = tag(&operator, path).await;
    let weak = format!("W/{tag}");
    let bare = tag.trim_matches('"');
    let list = format!("\"a,b\", \"\" ,, {tag}");
    for tags in [
        &["*"][..],
        &[" * "],
        &[&list],
        &["\"other\"", &tag],
        &[&weak, &tag],
    ] {
        let reply = if_match(admin, "PATCH", path, tags, &change).await;
        assert_eq!(reply.status, StatusCode::OK, "{tags:?}");
    }
    let inside = format!("\"a, {bare}\"");
    let behind = format!("x{tag}");
    let (star_in_list, unclosed) = (format!("*, {weak}"), format!("\"{bare}"));
    for tags in [&["\"nonsense\""][..], &[""], &[&weak], &[&inside]] {
        let reply = if_match(admin, "PATCH", path, tags, &change).await;
        assert_refused(&reply, StatusCode::PRECONDITION_FAILED, "precondition_failed");
    }
    // To read again would not help.
    for tags in [
        &["nonsense"][..],
        &[bare],
        &[&behind],
        &[&star_in_list],
        &[&unclosed],
        &["*", "*"],
    ] {
        let reply = if_match(admin, "PATCH", path, tags, &change).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        assert!(reply.body.contains("double quotes"), "{reply:?}");
    }
    // Of what has no tag, none was read: nothing is done in passing over the condition.
    for tag in ["*", &tag] {
        let reply = if_match(admin, "POST", "/admin/keys/rotate", &[tag], &Value::Null).await;
        assert_refused(&reply, StatusCode::PRECONDITION_FAILED, "precondition_failed");
    }
    assert_eq!(
        operator.get("/admin/keys").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let absent = if_match(admin, "PATCH", "/admin/resources/nothing", &["*"], &change).await;
    assert_refused(&absent, StatusCode::NOT_FOUND, "not_found");
}

/// CWE-362: of those who have all read the same.
#[tokio::test]
async fn of_fifty_who_change_what_they_read_one_does() {
    let operator = operator().await;
    let tag = tag(&operator, "/admin/resources/mcp").await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (admin, tag) = (operator.app.admin.clone(), tag.clone());
        changes.spawn(async move {
            let change = json!({"display_name": format!("Number {number}")});
            let reply = if_match(&admin, "PATCH", "/admin/resources/mcp", &[&tag], &change).await;
            (reply.status, number)
        });
    }
    let outcomes = changes.join_all().await;
    let done: Vec<_> = outcomes
        .iter()
        .filter(|(status, _)| *status == StatusCode::OK)
        .collect();
    assert_eq!(done.len(), 1, "{outcomes:?}");
    let late = outcomes
        .iter()
        .filter(|(status, _)| *status == StatusCode::PRECONDITION_FAILED);
    assert_eq!(late.count(), 49, "{outcomes:?}");
    let name = operator.get("/admin/resources/mcp").await["display_name"].clone();
    assert_eq!(name, format!("Number {}", done[0].1));
}

/// What is shown once is no part of what can be read.
#[tokio::test]
async fn a_tag_tells_nothing_of_a_secret() {
    let operator = operator().await;
    let body = json!({"client_name": "App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let created = operator.call("POST", "/admin/clients", body).await;
    assert!(created.json()["client_secret"].is_string());
    let path = format!("/admin/clients/{}", created.json()["client_id"].as_str().unwrap());
    assert_eq!(created.header("etag"), tag(&operator, &path).await);
    let list = operator.call("GET", "/admin/clients", Value::Null).await;
    assert_eq!(list.header("etag"), "", "a list is no record");
}

#[test]
fn the_document_says_what_can_be_changed_as_it_was_read() {
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let mut conditional = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let takes = parameters
                .into_iter()
                .any(|parameter| parameter["name"] == "If-Match" && parameter["in"] == "header");
            assert_eq!(
                takes,
                operation["responses"]["412"].is_object(),
                "{method} {path}"
            );
            if takes {
                assert!(
                    operations["get"]["responses"]["200"]["headers"]["ETag"].is_object(),
                    "{path}"
                );
                conditional.push(format!("{method} {path}"));
            }
        }
    }
    for (base, _, name, _) in records() {
        let path = &document["paths"][base]["post"]["responses"]["201"];
        assert!(path["headers"]["ETag"].is_object(), "{base}");
        for method in ["patch", "delete"] {
            assert!(
                conditional.contains(&format!("{method} {base}/{{{name}}}")),
                "{conditional:?}"
            );
        }
    }
}
