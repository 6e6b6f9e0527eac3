//! Paths and queries: what is served, what is read, and what is not.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::PASSWORD;

/// A program that takes "no such address" for "no such record" goes on as if somebody had removed it.
#[tokio::test]
async fn no_such_address_is_told_from_no_such_record_and_only_to_operators() {
    let operator = operator().await;
    for path in [
        "/admin",
        "/admin/",
        "/admin/nothing",
        "/admin/users/",
        "/admin/users/a/b/c",
        "/admin//users",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let reply = operator.call(method, path, Value::Null).await;
            assert_refused(&reply, StatusCode::NOT_FOUND, "unknown_endpoint");
            let sentence = reply.json()["error_description"].to_string();
            assert!(sentence.contains("/admin/openapi.json"), "{sentence}");
        }
        let reply = operator.admin.get(path).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["resources/a", "clients/a", "keys/a", "audit/a"] {
        let reply = operator.call("GET", &format!("/admin/{path}"), Value::Null).await;
        assert_refused(&reply, StatusCode::NOT_FOUND, "not_found");
    }
    let reply = operator.call("PUT", "/admin/users", Value::Null).await;
    assert_refused(&reply, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    let elsewhere = operator.app.browser().get("/admin/users").await;
    assert_refused(&elsewhere, StatusCode::NOT_FOUND, "unknown_endpoint");
}

/// A filter that nobody reads would look like one that found everything.
#[tokio::test]
async fn a_query_that_nobody_reads_is_refused_everywhere() {
    let operator = operator().await;
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let mut refused = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let place = path.replace("{id}", "0197b0a0-0000-7000-8000-000000000000");
        let place = place.replace(['{', '}'], "");
        for method in operations.as_object().unwrap().keys() {
            let place = format!("{place}?surprise=1");
            let reply = operator.call(&method.to_uppercase(), &place, json!({})).await;
            assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
            refused.insert(format!("{method} {path}"));
        }
    }
    assert!(refused.len() >= 45, "{refused:?}");
    for path in [
        "/admin/openapi.json?pretty",
        "/admin/keys?limit=1",
        "/admin/admin-keys?cursor=x",
    ] {
        let reply = operator.call("GET", path, Value::Null).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    }
    // Behind the question mark is nothing.
    operator.get("/admin/keys?").await;
}

#[tokio::test]
async fn every_list_that_grows_comes_in_pages() {
    let operator = operator().await;
    for number in 0..4 {
        let name = format!("n{number}");
        let token = json!({"name": name});
        operator.create("/admin/initial-access-tokens", token).await;
        let resource = json!({"slug": name, "uri": format!("https://{name}.example/mcp")});
        operator.create("/admin/resources", resource).await;
        let issuer = format!("https://{name}.example");
        let provider = json!({"slug": name, "kind": "workload", "issuer": issuer});
        operator.create("/admin/trusted-issuers", provider).await;
        let audience = json!({"slug": name, "issuer": issuer});
        operator.create("/admin/assertion-audiences", audience).await;
        let user = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        operator.create("/admin/users", user).await;
    }
    let lists = [
        ("initial-access-tokens", 4_usize),
        ("resources", 5),
        ("trusted-issuers", 4),
        ("assertion-audiences", 4),
        ("users", 5),
    ];
    for (list, count) in lists {
        let whole = operator.get(&format!("/admin/{list}")).await;
        assert_eq!(whole.get("next"), None, "{list}");
        let (mut seen, mut query, mut pages) = (Vec::new(), "?limit=2".to_owned(), 0);
        loop {
            let page = operator.get(&format!("/admin/{list}{query}")).await;
            let rows = page["items"].as_array().unwrap();
            assert!(rows.len() <= 2, "{list}");
            seen.extend(rows.clone());
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?limit=2&cursor={next}");
        }
        assert_eq!(whole["items"], Value::from(seen), "{list}");
        assert_eq!(
            (whole["items"].as_array().unwrap().len(), pages),
            (count, count.div_ceil(2)),
            "{list}"
        );
        let other = if list == "users" { "resources" } else { "users" };
        let cursor = query.split_once('&').unwrap().1;
        for query in [cursor, "limit=0", "limit=201", "cursor=x"] {
            let list = if query == cursor { other } else { list };
            let reply = operator
                .call("GET", &format!("/admin/{list}?{query}"), Value::Null)
                .await;
            assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        }
    }
}

/// The clock stands still here: all of them are of one second.
#[tokio::test]
async fn newest_is_first_within_a_second_too() {
    let operator = operator().await;
    for number in 0..8 {
        let name = format!("n{number}");
        operator
            .create("/admin/initial-access-tokens", json!({"name": name}))
            .await;
        operator.create("/admin/admin-keys", json!({"name": name})).await;
    }
    let names = async |path: &str| {
        let list = operator.get(path).await;
        let rows = list["items"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names("/admin/initial-access-tokens").await,
        "n7 n6 n5 n4 n3 n2 n1 n0"
    );
    assert_eq!(names("/admin/admin-keys").await, "n0 n1 n2 n3 n4 n5 n6 n7");
}

#[tokio::test]
async fn whatever_is_listed_can_be_asked_for_by_its_name() {
    let operator = operator().await;
    operator
        .create("/admin/initial-access-tokens", json!({"name": "A team"}))
        .await;
    operator.create("/admin/admin-keys", json!({"name": "ada"})).await;
    for (list, id) in [
        ("initial-access-tokens", "id"),
        ("admin-keys", "id"),
        ("keys", "key_id"),
    ] {
        let listed = operator.get(&format!("/admin/{list}")).await["items"][0].clone();
        let one = format!("/admin/{list}/{}", listed[id].as_str().unwrap());
        assert_eq!(operator.get(&one).await, listed, "{list}");
        let nobody = format!("/admin/{list}/0197b0a0-0000-7000-8000-000000000000");
        let reply = operator.call("GET", &nobody, Value::Null).await;
        assert_refused(&reply, StatusCode::NOT_FOUND, "not_found");
    }
    let issuer = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example"});
    operator.create("/admin/trusted-issuers", issuer).await;
    let links = "/admin/trusted-issuers/idp/subjects";
    for subject in ["ada", "a b&c"] {
        let link = json!({"subject": subject, "user": operator.app.user.id.0});
        operator.create(links, link).await;
    }
    let found = operator.get(&format!("{links}?subject=a%20b%26c")).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["subject"], "a b&c");
    for nobody in ["bob", "%00", ""] {
        let found = operator.get(&format!("{links}?subject={nobody}")).await;
        assert_eq!(found, json!({"items": []}), "{nobody}");
    }
}

#[tokio::test]
async fn there_are_a_hundred_admin_keys_at_most() {
    let operator = operator().await;
    let mut last = Value::Null;
    for number in 0..100 {
        let key = json!({"name": format!("n{number}")});
        last = operator.create("/admin/admin-keys", key).await;
    }
    let one_more = json!({"name": "one more"});
    let reply = operator.call("POST", "/admin/admin-keys", one_more.clone()).await;
    assert_refused(&reply, StatusCode::CONFLICT, "conflict");
    let path = format!("/admin/admin-keys/{}", last["id"].as_str().unwrap());
    operator.call("DELETE", &path, Value::Null).await;
    operator.create("/admin/admin-keys", one_more).await;
}

#[tokio::test]
async fn rotating_while_a_key_waits_makes_none_and_says_so() {
    let operator = operator().await;
    let rotate = async |body: Value| {
        let reply = operator.call("POST", "/admin/keys/rotate", body).await;
        (reply.status, reply.json()["key_id"].clone())
    };
    let (made, waiting) = rotate(Value::Null).await;
    assert_eq!(made, StatusCode::CREATED);
    assert_eq!(rotate(Value::Null).await, (StatusCode::OK, waiting.clone()));
    assert_eq!(rotate(json!({"now": true})).await, (StatusCode::OK, waiting));
    let (made, _) = rotate(json!({"now": true})).await;
    assert_eq!(made, StatusCode::CREATED);
}

/// Sentences for operators say what an operator can do.
#[tokio::test]
async fn a_refusal_says_what_an_operator_can_do() {
    let operator = operator().await;
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    let bob = operator.create("/admin/users", body).await;
    let path = format!("/admin/users/{}", bob["id"].as_str().unwrap());
    let taken = json!({"email": crate::support::EMAIL});
    let reply = operator.call("PATCH", &path, taken).await;
    assert_refused(&reply, StatusCode::CONFLICT, "conflict");
    let sentence = reply.json()["error_description"].to_string();
    assert!(
        sentence.contains("another person with this e-mail address"),
        "{sentence}"
    );

    let explain = async |client_id: &str| {
        let body = json!({"client_id": client_id, "subject_token": "x"});
        let reply = operator.call("POST", "/admin/token-exchange/explain", body).await;
        reply.json()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        explain("nobody").await,
        "There is no client with this client_id; list the clients to see what there is."
    );
    let body = json!({"client_name": "App", "redirect_uris": [crate::support::REDIRECT]});
    let client = operator.create("/admin/clients", body).await;
    let client = client["client_id"].as_str().unwrap();
    let path = format!("/admin/clients/{client}");
    operator.call("PATCH", &path, json!({"disabled": true})).await;
    assert_eq!(explain(client).await, "The client is disabled; enable it.");
}
