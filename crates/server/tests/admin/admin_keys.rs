//! The keys of operators.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::log::Log;
use crate::support::{Browser, Reply, TestApp};

/// Calls the API with a key of one's own.
async fn with(app: &TestApp, key: &str, method: &str, path: &str, body: Value) -> Reply {
    Browser::new(app.admin.clone())
        .administer_with(key, method, path, &body)
        .await
}

/// A server whose first start made the admin key.
async fn with_a_first_key() -> (TestApp, String) {
    let app = TestApp::empty(|_| {}).await;
    let key = app.server.make_first_admin_key().await.unwrap().unwrap();
    let key = key.expose().to_owned();
    (app, key)
}

/// Makes a key; its id and the key.
async fn another(app: &TestApp, key: &str, name: &str) -> (String, String) {
    let made = with(app, key, "POST", "/admin/admin-keys", json!({"name": name})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    assert!(
        text("key").starts_with("dwk_") && text("key").len() == 47,
        "{made}"
    );
    (text("id"), text("key"))
}

#[tokio::test]
async fn a_leaked_admin_key_can_be_taken_back() {
    let (app, first) = with_a_first_key().await;
    let (id, own) = another(&app, &first, "ada").await;

    let list = with(&app, &own, "GET", "/admin/admin-keys", Value::Null).await;
    for key in [&first, &own] {
        assert!(!list.body.contains(key.as_str()), "{list:?}");
    }
    let list = list.json();
    let items = list["items"].as_array().unwrap();
    let member = |name: &str| items.iter().map(|item| item[name].clone()).collect::<Vec<_>>();
    let mut names = member("name");
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["ada", "first start"]);
    for item in items {
        let members: Vec<&String> = item.as_object().unwrap().keys().collect();
        assert_eq!(members, ["created_at", "id", "name"]);
    }
    let leaked = items.iter().find(|item| item["name"] == "first start").unwrap();
    let leaked = format!("/admin/admin-keys/{}", leaked["id"].as_str().unwrap());
    assert_ne!(leaked, format!("/admin/admin-keys/{id}"));

    let gone = with(&app, &own, "DELETE", &leaked, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    let refused = with(&app, &first, "GET", "/admin/admin-keys", Value::Null).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_refused(
        &with(&app, &own, "DELETE", &leaked, Value::Null).await,
        StatusCode::NOT_FOUND,
        "not_found",
    );

    // Who did it is told by the names of the keys.
    app.context.audit.settled().await;
    let audit = with(&app, &own, "GET", "/admin/audit?actor=admin_key", Value::Null).await;
    let audit = audit.json();
    let told = audit["items"].as_array().unwrap().iter().map(|line| {
        let word = |member: &str| line[member].as_str().unwrap().to_owned();
        [word("action"), word("actor_id"), word("target")]
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    let expected = [
        ["admin_key.created", "first start", "ada"],
        ["admin_key.deleted", "ada", "first start"],
        ["request.refused", "ada", "DELETE /admin/admin-keys/{id}"],
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_last_admin_key_stays_unless_there_is_one_by_setting() {
    let (app, first) = with_a_first_key().await;
    let list = with(&app, &first, "GET", "/admin/admin-keys", Value::Null).await;
    let only = list.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let only = format!("/admin/admin-keys/{only}");
    assert_refused(
        &with(&app, &first, "DELETE", &only, Value::Null).await,
        StatusCode::CONFLICT,
        "conflict",
    );
    assert_eq!(
        with(&app, &first, "GET", "/admin/admin-keys", Value::Null)
            .await
            .status,
        StatusCode::OK
    );

    let operator = operator().await;
    let made = operator.create("/admin/admin-keys", json!({"name": "ada"})).await;
    let path = format!("/admin/admin-keys/{}", made["id"].as_str().unwrap());
    let key = made["key"].as_str().unwrap();
    assert_eq!(
        with(&operator.app, key, "DELETE", &path, Value::Null)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        operator.get("/admin/admin-keys").await["items"],
        json!([]),
        "the key by setting is none of these"
    );
}

/// CWE-362.
#[tokio::test]
async fn of_two_who_delete_each_others_admin_key_one_stays() {
    let (app, first) = with_a_first_key().await;
    let (id, own) = another(&app, &first, "ada").await;
    let list = with(&app, &own, "GET", "/admin/admin-keys", Value::Null).await;
    let list = list.json();
    let ids = list["items"].as_array().unwrap().iter();
    let other = ids
        .map(|item| item["id"].as_str().unwrap())
        .find(|other| *other != id);
    let (mine, theirs) = (
        format!("/admin/admin-keys/{id}"),
        format!("/admin/admin-keys/{}", other.unwrap()),
    );
    let (one, two) = tokio::join!(
        with(&app, &first, "DELETE", &mine, Value::Null),
        with(&app, &own, "DELETE", &theirs, Value::Null),
    );
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(
        statuses,
        [StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED],
        "{one:?} {two:?}"
    );
    assert_eq!(app.context.store.admin_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_was_deleted_while_its_request_waited_changes_nothing() {
    let (app, first) = with_a_first_key().await;
    let (id, own) = another(&app, &first, "ada").await;
    let turn = app.context.store.turn("admin").await.unwrap();
    let waiting = with(&app, &own, "POST", "/admin/admin-keys", json!({"name": "back"}));
    let taken = async {
        // Many reads later its one is done: it has shown its key, and waits for its turn.
        for _ in 0..50 {
            app.context.store.admin_keys().await.unwrap();
        }
        let id = id.parse().unwrap();
        app.context.store.delete_admin_key(id, false).await.unwrap();
        drop(turn);
    };
    let (late, ()) = tokio::join!(waiting, taken);
    assert_eq!(late.status, StatusCode::UNAUTHORIZED, "{late:?}");
    let left = app.context.store.admin_keys().await.unwrap();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn an_admin_key_has_a_name_of_its_own() {
    let operator = operator().await;
    operator.create("/admin/admin-keys", json!({"name": "ada"})).await;
    let again = operator
        .call("POST", "/admin/admin-keys", json!({"name": "ada"}))
        .await;
    assert_refused(&again, StatusCode::CONFLICT, "conflict");
    let long = "a".repeat(201);
    for name in [
        "",
        "  ",
        "a\u{202e}b",
        "a\nb",
        &long,
        "bootstrap",
        "Bootstrap",
        "First Start",
        "ada ",
        " ada",
    ] {
        let refused = operator
            .call("POST", "/admin/admin-keys", json!({"name": name}))
            .await;
        assert_refused(&refused, StatusCode::BAD_REQUEST, "invalid_request");
    }
    let items = operator.get("/admin/admin-keys").await["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
}

/// Two names that look alike in the audit list are a place to hide.
#[tokio::test]
async fn the_name_of_an_admin_key_looks_like_no_other() {
    let operator = operator().await;
    operator
        .create("/admin/admin-keys", json!({"name": "ci runner"}))
        .await;
    for name in ["CI runner", "ci Runner"] {
        let again = operator
            .call("POST", "/admin/admin-keys", json!({"name": name}))
            .await;
        assert_refused(&again, StatusCode::CONFLICT, "conflict");
    }
    for name in [
        "с\u{456} runner",
        "ci  runner",
        "ci\u{a0}runner",
        "first  start",
        "ÀB",
    ] {
        let refused = operator
            .call("POST", "/admin/admin-keys", json!({"name": name}))
            .await;
        assert_refused(&refused, StatusCode::BAD_REQUEST, "invalid_request");
    }
    operator
        .create("/admin/admin-keys", json!({"name": "ci runner 2"}))
        .await;
}

/// Reading changes nothing and is in no audit list: the log alone can say what somebody saw.
#[tokio::test]
async fn the_line_of_a_request_names_the_key_that_it_came_with() {
    let log = Log::start();
    let (app, first) = with_a_first_key().await;
    let (_, own) = another(&app, &first, "ada").await;
    for (key, name) in [(&first, "first start"), (&own, "ada")] {
        with(&app, key, "GET", "/admin/users", Value::Null).await;
        let line = log.request();
        assert_eq!((&line["admin_key"], &line["status"]), (&json!(name), &json!(200)));
    }
    with(&app, "dwk_wrong", "GET", "/admin/users", Value::Null).await;
    assert_eq!(log.request().get("admin_key"), None);
}
