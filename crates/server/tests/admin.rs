//! The operators' API: the catalogue's section ADMIN as far as it is built, and what an operator expects.

#![cfg(test)]

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use support::{ADMIN_KEY, Authorization, Browser, REDIRECT, Reply, TestApp};

struct Operator {
    app: TestApp,
    admin: Browser,
}

async fn operator() -> Operator {
    let app = TestApp::with_admin_key().await;
    Operator {
        admin: Browser::new(app.admin.clone()),
        app,
    }
}

impl Operator {
    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.admin.administer(method, path, &body).await
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    }

    async fn create(&self, path: &str, body: Value) -> Value {
        let reply = self.call("POST", path, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        reply.json()
    }
}

#[track_caller]
fn assert_refused(reply: &Reply, status: StatusCode, error: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().len() > 15, "{body}");
    assert!(!body["error_id"].as_str().unwrap().is_empty(), "{body}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// ADMIN-001: every operation of the document.
#[tokio::test]
async fn nothing_answers_without_an_admin_key() {
    let operator = operator().await;
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "0197b0a0-0000-7000-8000-000000000000")
            .replace(['{', '}'], "");
        for method in operations.as_object().unwrap().keys() {
            for authorization in [
                "",
                "Bearer wrong",
                "Basic eDp5",
                &format!("Bearer {ADMIN_KEY}x"),
                &format!("Basic {ADMIN_KEY}"),
            ] {
                let headers: &[(&str, &str)] = if authorization.is_empty() {
                    &[]
                } else {
                    &[("authorization", authorization)]
                };
                let reply = operator
                    .admin
                    .send(&method.to_uppercase(), &path, headers, String::new())
                    .await;
                assert_eq!(
                    reply.status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {authorization}"
                );
                assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"admin\"");
                asked += 1;
            }
        }
    }
    assert!(asked >= 100, "{asked}");
    assert_eq!(
        operator.admin.get("/admin/openapi.json").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        operator.admin.get("/admin/nothing").await.status,
        StatusCode::NOT_FOUND
    );
    let twice = [
        ("authorization", &*format!("Bearer {ADMIN_KEY}")),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(
        operator.admin.get_with("/admin/keys", &twice).await.status,
        StatusCode::UNAUTHORIZED
    );
}

/// The first start makes a key, shows it once, and keeps its digest.
#[tokio::test]
async fn the_first_start_makes_an_admin_key_and_the_second_does_not() {
    use doorward_server::AuthorizationServer;
    use doorward_server::config::Settings;
    use doorward_server::context::Parts;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let _engine = support::Engine::for_a_test(&mut settings, folder.path()).await;
    let mut first = AuthorizationServer::open(settings.clone(), Parts::system())
        .await
        .unwrap();
    let key = first.take_first_admin_key().unwrap();
    assert!(first.take_first_admin_key().is_none());
    assert!(!format!("{key:?}").contains(key.expose()));
    first.close().await.unwrap();

    let mut second = AuthorizationServer::open(settings, Parts::system())
        .await
        .unwrap();
    assert!(second.take_first_admin_key().is_none());
    let admin = Browser::new(second.routers().admin);
    let authorization = format!("Bearer {}", key.expose());
    assert_eq!(
        admin
            .get_with("/admin/keys", &[("authorization", &authorization)])
            .await
            .status,
        StatusCode::OK
    );
}

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

/// ADMIN-004: what is not in the contract is refused, and nothing is half done.
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence_and_changes_nothing() {
    let operator = operator().await;
    let bad_resources = [
        json!({"slug": "Upper", "uri": "https://a.example/mcp"}),
        json!({"slug": "a", "uri": "http://a.example/mcp#f"}),
        json!({"slug": "a", "uri": "not a url"}),
        json!({"slug": "a", "uri": "https://a.example", "backend_kind": "broker"}),
        json!({"slug": "a", "uri": "https://a.example", "surprise": 1}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a b"}]}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a"}, {"name": "a"}]}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "offline_access"}]}),
        json!({"slug": "a"}),
        json!([]),
    ];
    for body in bad_resources {
        assert_refused(
            &operator.call("POST", "/admin/resources", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let bad_clients = [
        json!({"client_name": "X", "redirect_uris": ["javascript:alert(1)"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT, "http://public.example/cb"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "password"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt"}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "client_secret": "chosen"}),
        json!({"client_name": "X", "resource_server": "nowhere"}),
        json!({"client_name": "\u{7}", "resource_server": "mcp"}),
        json!({"client_name": "X"}),
    ];
    for body in bad_clients {
        assert_refused(
            &operator.call("POST", "/admin/clients", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let bad_users = [
        json!({"email": "nobody", "password": support::PASSWORD}),
        json!({"email": "a@b", "password": "short"}),
        json!({"email": "a@b", "password": "x".repeat(2000)}),
        json!({"email": "a@b", "password": support::PASSWORD, "role": "admin"}),
    ];
    for body in bad_users {
        assert_refused(
            &operator.call("POST", "/admin/users", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let headers = [
        ("authorization", &*format!("Bearer {ADMIN_KEY}")),
        ("content-type", "application/json"),
    ];
    let malformed = operator
        .admin
        .send("POST", "/admin/users", &headers, "{".to_owned())
        .await;
    assert_refused(&malformed, StatusCode::BAD_REQUEST, "invalid_request");
    assert_refused(
        &operator.call("GET", "/admin/users/not-a-uuid", Value::Null).await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
    for (path, count) in [("resources", 1), ("clients", 0), ("users", 1)] {
        assert_eq!(
            operator.get(&format!("/admin/{path}")).await["items"]
                .as_array()
                .unwrap()
                .len(),
            count,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_rotates_with_an_overlap() {
    let operator = operator().await;
    let body = json!({"client_name": "Backend", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let client = operator.create("/admin/clients", body).await;
    let id = client["client_id"].as_str().unwrap().to_owned();
    let first = client["client_secret"].as_str().unwrap().to_owned();
    let path = format!("/admin/clients/{id}");
    assert!(operator.get(&path).await.get("client_secret").is_none());
    assert!(!operator.get("/admin/clients").await.to_string().contains(&first));

    let rotated = operator
        .call("POST", &format!("{path}/rotate-secret"), Value::Null)
        .await
        .json();
    let second = rotated["client_secret"].as_str().unwrap().to_owned();
    let works = async |secret: &str| {
        let form = format!("client_id={id}&client_secret={secret}&token=x");
        operator
            .app
            .browser()
            .post("/oauth/revoke", &[], form)
            .await
            .status
            == StatusCode::OK
    };
    assert!(works(&first).await && works(&second).await);
    operator.app.wait(24 * 60 * 60 + 1);
    assert!(!works(&first).await && works(&second).await);

    let public = operator
        .create(
            "/admin/clients",
            json!({"client_name": "P", "redirect_uris": [REDIRECT]}),
        )
        .await;
    let path = format!(
        "/admin/clients/{}/rotate-secret",
        public["client_id"].as_str().unwrap()
    );
    assert_refused(
        &operator.call("POST", &path, Value::Null).await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
}

/// ADMIN-008.
#[tokio::test]
async fn a_disabled_person_is_out_everywhere_at_once() {
    let operator = operator().await;
    let body = json!({"email": "Bob@example.com", "name": "Bob", "password": support::PASSWORD});
    let bob = operator.create("/admin/users", body.clone()).await;
    assert!(bob.get("password").is_none() && bob.get("password_hash").is_none());
    let again = json!({"email": "bob@EXAMPLE.com", "password": support::PASSWORD});
    assert_refused(
        &operator.call("POST", "/admin/users", again).await,
        StatusCode::CONFLICT,
        "conflict",
    );

    let browser = operator.app.browser();
    browser
        .sign_in("/login", "bob@example.com", support::PASSWORD)
        .await;
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
    let body = json!({"email": "bob@example.com", "password": support::PASSWORD});
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
        (&json!("mcp:read"), &json!(support::RESOURCE))
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

#[tokio::test]
async fn keys_rotate_and_private_parts_stay_inside() {
    let operator = operator().await;
    let first = operator.get("/admin/keys").await["items"][0]["key_id"].clone();
    let rotated = operator.create("/admin/keys/rotate", Value::Null).await;
    let keys = operator.get("/admin/keys").await;
    assert_eq!(keys["items"][0]["key_id"], rotated["key_id"]);
    assert_eq!(
        (&keys["items"][1]["key_id"], &keys["items"][1]["state"]),
        (&first, &json!("active"))
    );
    let members: Vec<&String> = keys["items"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["algorithm", "created_at", "key_id", "starts_at", "state"]
    );
}

/// A client that describes itself is not rewritten behind its back.
#[tokio::test]
async fn what_a_client_says_of_itself_can_only_be_switched_off() {
    let operator = operator().await;
    let client = operator
        .app
        .add_client(doorward_store::ClientSource::Dynamic, &[REDIRECT])
        .await;
    let path = format!("/admin/clients/{client}");
    let reply = operator
        .call("PATCH", &path, json!({"client_name": "Bank"}))
        .await;
    assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(
        operator
            .call("PATCH", &path, json!({"disabled": true}))
            .await
            .json()["disabled"],
        true
    );
}

/// A name or redirect URI that changed is shown to people again: the fingerprint changes.
#[tokio::test]
async fn a_changed_client_is_a_new_one_to_people() {
    let operator = operator().await;
    let client = operator
        .create(
            "/admin/clients",
            json!({"client_name": "A", "redirect_uris": [REDIRECT]}),
        )
        .await;
    let id = client["client_id"].as_str().unwrap();
    let store = &operator.app.context.store;
    let before = store.client(id).await.unwrap().unwrap().fingerprint;
    let path = format!("/admin/clients/{id}");
    operator.call("PATCH", &path, json!({"client_name": "B"})).await;
    let renamed = store.client(id).await.unwrap().unwrap();
    assert_ne!(before, renamed.fingerprint);
    let bad = operator
        .call("PATCH", &path, json!({"redirect_uris": ["javascript:x"]}))
        .await;
    assert_refused(&bad, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(
        store.client(id).await.unwrap().unwrap(),
        renamed,
        "nothing is half done"
    );
}

#[tokio::test]
async fn metrics_are_there_for_scraping() {
    let operator = operator().await;
    operator.app.browser().get("/.well-known/jwks.json").await;
    let metrics = operator.admin.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(
        metrics.body.contains("/.well-known/jwks.json"),
        "{}",
        metrics.body
    );
    assert_eq!(
        operator.app.browser().get("/metrics").await.status,
        StatusCode::NOT_FOUND,
        "not for the public"
    );
}

#[tokio::test]
async fn a_client_that_only_introspects_can_be_renamed_and_gets_no_redirect_uris() {
    let operator = operator().await;
    let body = json!({"client_name": "Guard", "resource_server": "mcp"});
    let client = operator.create("/admin/clients", body).await;
    let path = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    for change in [
        json!({"redirect_uris": [REDIRECT]}),
        json!({"client_name": "\u{7}"}),
    ] {
        let reply = operator.call("PATCH", &path, change).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    }
    let renamed = operator
        .call("PATCH", &path, json!({"client_name": "Guard of the files"}))
        .await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    let client = operator.get(&path).await;
    assert_eq!(client["client_name"], "Guard of the files");
    assert_eq!(client["resource_server"], "mcp");
}
