//! `doorward admin`, against a running server.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{Browser, Client, EMAIL, PASSWORD, Place, RESOURCE, Server, Tokens, free_port};

/// Without what differs from run to run.
fn stable(text: &str, volatile: &[(&str, &str)]) -> String {
    let text = volatile
        .iter()
        .fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim_end();
        let is_time = bare.len() == 10 && bare.bytes().all(|byte| byte.is_ascii_digit());
        if is_time {
            word.replace(bare, "[time]")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {value}"))
        .to_owned()
}

/// The line of the contract, word by word.
const CREATE: [&str; 13] = [
    "admin",
    "resource",
    "create",
    "--slug",
    "my-server",
    "--uri",
    "http://localhost:8080/mcp",
    "--backend-kind",
    "mint",
    "--scopes",
    "tools/read||Read tools",
    "--scopes",
    "tools/write||Write tools",
];

#[tokio::test]
async fn resources_are_created_listed_shown_changed_and_deleted() {
    let place = Place::new();
    let server = place.serve().await;

    let created = stable(&place.run(&CREATE).success(), &[]);
    insta::assert_snapshot!(created, @r"
    backend_kind  mint
    created_at    [time]
    display_name  my-server
    scopes        tools/read tools/write
    slug          my-server
    updated_at    [time]
    uri           http://localhost:8080/mcp
    ");
    let shown = place.run(&["admin", "resource", "get", "my-server"]).success();
    assert_eq!(stable(&shown, &[]), created);
    insta::assert_snapshot!(place.run(&["admin", "resource", "list"]).success(), @r"
    SLUG       URI                        DISPLAY_NAME  SCOPES
    my-server  http://localhost:8080/mcp  my-server     tools/read tools/write
    ");
    let json = place.run(&["admin", "resource", "list", "--json"]).json();
    assert_eq!(json["items"][0]["scopes"][1]["name"], "tools/write");
    assert_eq!(json["items"][0]["scopes"][1]["description"], "Write tools");

    let change = [
        "admin",
        "resource",
        "update",
        "my-server",
        "--display-name",
        "Mine",
        "--scopes",
        "tools/read||Read",
        "--json",
    ];
    let changed = place.run(&change).json();
    assert_eq!(
        (&changed["display_name"], &changed["uri"]),
        (&"Mine".into(), &RESOURCE.into())
    );
    assert_eq!(changed["scopes"].as_array().unwrap().len(), 1);

    let deleted = place.run(&["admin", "resource", "delete", "my-server"]).success();
    insta::assert_snapshot!(deleted, @"The resource is gone and the grants on it have ended.");
    assert_eq!(place.run(&["admin", "resource", "list"]).success(), "(none)\n");
    let empty = place.run(&["admin", "resource", "list", "--json"]).json();
    assert_eq!(empty["items"], Value::Array(Vec::new()));
    drop(server);
}

/// An id that nobody has.
const NOBODY: &str = "6f1a3c52-7d0e-4b7a-9a35-1f0c2d4e8b96";

#[tokio::test]
async fn a_refused_command_says_why_in_one_line() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let refused = |arguments: &[&str]| {
        let complaint = place.run(arguments).one_line_failure();
        // Behind the sentence stands what finds the log line.
        let (sentence, rest) = complaint
            .split_once(" (HTTP ")
            .unwrap_or_else(|| panic!("{complaint}"));
        assert!(rest.contains("error id "), "{complaint}");
        format!("{} {sentence}", &rest[..3])
    };
    insta::assert_snapshot!(refused(&["admin", "resource", "get", "nope"]), @"404 There is no resource with this slug; list the resources to see what there is.");
    insta::assert_snapshot!(refused(&CREATE), @"409 A resource with this URI exists; update it instead.");
    let other_uri = [
        "admin",
        "resource",
        "create",
        "--slug",
        "my-server",
        "--uri",
        "http://localhost:8081/mcp",
    ];
    insta::assert_snapshot!(refused(&other_uri), @"409 The name or identifier is taken; choose another.");
    let kind = [
        "admin",
        "resource",
        "create",
        "--slug",
        "b",
        "--uri",
        "http://localhost:1/b",
        "--backend-kind",
        "brew",
    ];
    assert!(refused(&kind).starts_with("400 "));
    insta::assert_snapshot!(refused(&["admin", "client", "get", "nope"]), @"404 There is no client with this id; list the clients to see what there is.");
    for (what, verb, id) in [
        ("resource", "delete", "nope"),
        ("resource", "update", "nope"),
        ("client", "delete", "nope"),
        ("client", "update", "nope"),
        ("client", "rotate-secret", "nope"),
        ("user", "get", NOBODY),
        ("user", "delete", NOBODY),
        ("user", "update", NOBODY),
        ("user", "disable", NOBODY),
        ("grant", "get", NOBODY),
        ("grant", "revoke", NOBODY),
    ] {
        let sentence = refused(&["admin", what, verb, id]);
        assert!(
            sentence.starts_with("404 There is no "),
            "{what} {verb}: {sentence}"
        );
    }
    for (what, verb) in [("user", "get"), ("grant", "revoke")] {
        let sentence = refused(&["admin", what, verb, "nope"]);
        assert!(sentence.starts_with("400 "), "{what} {verb}: {sentence}");
    }
    assert!(
        refused(&[
            "admin",
            "client",
            "create",
            "--name",
            "X",
            "--redirect-uri",
            "javascript:alert(1)"
        ])
        .starts_with("400 ")
    );
    assert!(refused(&["admin", "client", "list", "--limit", "0"]).starts_with("400 "));
    assert!(refused(&["admin", "client", "list", "--cursor", "x"]).starts_with("400 "));
    // A path is not left by a name with dots and slashes in it.
    assert!(refused(&["admin", "resource", "get", "../keys"]).starts_with("404 "));
    drop(server);
}

#[tokio::test]
async fn a_wrong_or_missing_key_and_a_silent_server_are_told_apart() {
    let place = Place::new();
    let server = place.serve().await;
    let list = ["admin", "resource", "list"];
    let place = place.set("DOORWARD_ADMIN_KEY", "dwk_wrong");
    insta::assert_snapshot!(place.run(&list).one_line_failure(), @"the server refuses this admin key; set DOORWARD_ADMIN_KEY to the one that was printed at first start, or to admin.bootstrap_key");
    let place = place.without("DOORWARD_ADMIN_KEY");
    insta::assert_snapshot!(place.run(&list).one_line_failure(), @"no admin key: set DOORWARD_ADMIN_KEY to admin.bootstrap_key of the configuration, or to the key that was printed at first start");
    drop(server);

    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let place = place.set("DOORWARD_ADMIN_KEY", "dwk_any");
    let silent = place
        .run(&["admin", "--url", &url, "resource", "list"])
        .one_line_failure();
    let expected = format!(
        "the admin API at {url} does not answer; is the server running, and is this its address (--url)?"
    );
    assert!(silent.starts_with(&expected), "{silent}");
    let unhealthy = place.run(&["healthcheck", "--url", &url]).one_line_failure();
    assert!(
        unhealthy.starts_with(&format!("{url}/readyz does not answer: ")),
        "{unhealthy}"
    );

    // Somebody else's server, which speaks no HTTP.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let hangs_up = std::thread::spawn(move || drop(other.accept().unwrap()));
    let silent = place
        .run(&["admin", "--url", &url, "key", "list"])
        .one_line_failure();
    assert!(silent.contains("does not answer"), "{silent}");
    hangs_up.join().unwrap();
}

#[tokio::test]
async fn a_clients_secret_is_shown_once_and_can_be_rotated() {
    let place = Place::new();
    let server = place.serve().await;
    let create = [
        "admin",
        "client",
        "create",
        "--name",
        "Desk",
        "--redirect-uri",
        "https://desk.example/cb",
        "--auth-method",
        "client_secret_basic",
    ];
    let created = place.run(&[&create[..], &["--json"]].concat()).json();
    let (id, secret) = (text(&created, "client_id"), text(&created, "client_secret"));
    assert!(secret.starts_with("dwsec_"), "{secret}");

    let shown = place.run(&["admin", "client", "get", &id]).success();
    assert!(!shown.contains("dwsec_"), "{shown}");
    let listed = stable(
        &place.run(&["admin", "client", "list"]).success(),
        &[(&id, "[id]")],
    );
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.lines().last().unwrap().starts_with("[id]  Desk"),
        "{listed}"
    );

    let rotated = place
        .run(&["admin", "client", "rotate-secret", &id, "--json"])
        .json();
    let fresh = text(&rotated, "client_secret");
    assert_ne!(fresh, secret);
    // Both are accepted for a day; what is neither is not.
    assert_eq!(introspection_status(&server, &id, &secret).await, 200);
    assert_eq!(introspection_status(&server, &id, &fresh).await, 200);
    assert_eq!(introspection_status(&server, &id, "dwsec_wrong").await, 401);

    let renamed = place
        .run(&[
            "admin",
            "client",
            "update",
            &id,
            "--name",
            "Counter",
            "--disabled",
            "true",
            "--json",
        ])
        .json();
    assert_eq!(
        (&renamed["client_name"], &renamed["disabled"]),
        (&"Counter".into(), &true.into())
    );
    assert_eq!(introspection_status(&server, &id, &fresh).await, 401);
    let deleted = place.run(&["admin", "client", "delete", &id]).success();
    insta::assert_snapshot!(deleted, @"The client is gone and its grants have ended.");
    place.run(&["admin", "client", "get", &id]).one_line_failure();
}

async fn introspection_status(server: &Server, id: &str, secret: &str) -> u16 {
    let request = crate::support::http()
        .post(format!("{}/oauth/introspect", server.public_url))
        .basic_auth(id, Some(secret));
    request
        .form(&[("token", "unknown")])
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_persons_password_comes_from_standard_input() {
    let place = Place::new();
    let server = place.serve().await;
    let create = ["admin", "user", "create", "--email", EMAIL, "--json"];
    let refused = place.run_with_input(&create, "short\n").one_line_failure();
    assert!(
        refused.starts_with("a password must have at least 12 characters. (HTTP 400"),
        "{refused}"
    );
    // Nothing to read is an empty password.
    place.run(&create).one_line_failure();
    let created = place.run_with_input(&create, &format!("{PASSWORD}\r\n")).json();
    let id = text(&created, "id");
    assert!(!created.to_string().contains("argon2"), "{created}");
    let listed = place.run(&["admin", "user", "list"]).success();
    insta::assert_snapshot!(stable(&listed, &[(&id, "[id]")]), @r"
    ID                                    EMAIL            NAME             DISABLED
    [id]  ada@example.com  ada@example.com  false
    ");

    let disabled = place.run(&["admin", "user", "disable", &id, "--json"]).json();
    assert_eq!(disabled["disabled"], true);
    let enabled = place.run(&["admin", "user", "enable", &id, "--json"]).json();
    assert_eq!(enabled["disabled"], false);
    let change = [
        "admin",
        "user",
        "update",
        &id,
        "--name",
        "Ada",
        "--password",
        "--json",
    ];
    let changed = place.run_with_input(&change, "another good password\n").json();
    assert_eq!(changed["name"], "Ada");

    let browser = Browser::new();
    let page = browser.open(&format!("{}/login", server.issuer)).await.unwrap();
    let page = browser
        .submit(&page, &[("email", EMAIL), ("password", PASSWORD)])
        .await
        .unwrap();
    assert!(
        page.html.contains("name=\"password\""),
        "the old password still works"
    );
    let page = browser
        .submit(&page, &[("email", EMAIL), ("password", "another good password")])
        .await
        .unwrap();
    assert!(
        page.status.is_success() && !page.html.contains("name=\"password\""),
        "{page:?}"
    );
    insta::assert_snapshot!(place.run(&["admin", "user", "delete", &id]).success(), @"The person is gone.");
}

#[tokio::test]
async fn grants_are_listed_and_revoked() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let client = Client::register(&server, "Kiosk").await;
    let callback = Browser::new().approve(&client.authorization_url()).await;
    let code = callback
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let tokens = Tokens::of(client.redeem(&code).await.unwrap());

    let active = [
        "admin",
        "grant",
        "list",
        "--client-id",
        &client.id,
        "--state",
        "active",
        "--json",
    ];
    let grants = place.run(&active).json();
    let id = text(&grants["items"][0], "id");
    assert_eq!(crate::support::claims(&tokens.access)["gid"], id.as_str());
    let shown = place.run(&["admin", "grant", "get", &id]).success();
    assert!(
        shown.contains(RESOURCE) && shown.contains("tools/read"),
        "{shown}"
    );
    let table = place.run(&["admin", "grant", "list"]).success();
    assert!(table.starts_with("ID "), "{table}");

    insta::assert_snapshot!(place.run(&["admin", "grant", "revoke", &id]).success(), @"The grant has ended: its refresh tokens are dead, its access tokens expire within minutes.");
    assert_eq!(place.run(&active).json()["items"], Value::Array(Vec::new()));
    let (status, answer) = client.refresh(&tokens.refresh).await.unwrap();
    assert_eq!(
        (status.as_u16(), &answer["error"]),
        (400, &"invalid_grant".into())
    );
}

#[tokio::test]
async fn keys_are_listed_and_rotated_and_the_old_one_stays_published() {
    let place = Place::new();
    let server = place.serve().await;
    let first = text(
        &place.run(&["admin", "key", "list", "--json"]).json()["items"][0],
        "key_id",
    );
    let rotated = place.run(&["admin", "key", "rotate", "--json"]).json();
    let second = text(&rotated, "key_id");
    let listed = place.run(&["admin", "key", "list"]).success();
    insta::assert_snapshot!(stable(&listed, &[(&first, "[first]"), (&second, "[second]")]), @r"
    KEY_ID                                       ALGORITHM  STATE     CREATED_AT
    [second]  ES256      active    [time]
    [first]  ES256      previous  [time]
    ");
    let jwks = crate::support::http()
        .get(format!("{}/.well-known/jwks.json", server.issuer))
        .send()
        .await
        .unwrap();
    let jwks: Value = jwks.json().await.unwrap();
    let ids: Vec<_> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| text(key, "kid"))
        .collect();
    assert_eq!(ids, [second, first]);
    assert!(
        jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key.get("d").is_none()),
        "{jwks}"
    );
}

#[test]
fn completions_are_scripts_for_each_shell() {
    let place = Place::bare();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).success();
        assert!(script.contains("rotate-secret"), "{shell}");
    }
    // Wrong words are the command line's own matter: exit code 2, on standard error.
    let refused = place.run(&[
        "admin", "resource", "create", "--slug", "x", "--scopes", "|x|", "--uri", "http://x",
    ]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.contains("the name is missing"),
        "{}",
        refused.stderr
    );
}
