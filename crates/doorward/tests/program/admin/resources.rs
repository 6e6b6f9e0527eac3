//! `doorward admin resource`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::{CREATE, stable};
use crate::support::{Place, Process, RESOURCE};

#[tokio::test]
async fn resources_are_created_listed_shown_changed_and_deleted() {
    let place = Place::new();
    let server = place.serve().await;

    let created = stable(&place.run(&CREATE).success(), &[]);
    insta::assert_snapshot!(created, @r#"
    backend_kind  mint
    created_at    [time]
    display_name  my-server
    policy        {"dpop_bound_access_tokens_required":false,"exchange_clients":[]}
    scopes        tools/read tools/write
    slug          my-server
    updated_at    [time]
    uri           http://localhost:8080/mcp
    "#);
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

    let update = |options: &[&str]| {
        let command = [&["admin", "resource", "update", "my-server", "--json"], options].concat();
        place.run(&command).json()["scopes"].clone()
    };
    let both = ["--scopes", "tools/read", "--scopes", "tools/admin||Administer"];
    let scopes = update(&[&both, &["--on-request", "tools/admin"][..]].concat());
    let administer = json!({"name": "tools/admin", "description": "Administer", "default": false});
    let read = json!({"name": "tools/read", "description": "Read", "default": true});
    assert_eq!(scopes, json!([read, administer]));
    // What is not said stays.
    let names = ["--scopes", "tools/read", "--scopes", "tools/admin"];
    assert_eq!(update(&names), scopes);
    let listed = place.run(&["admin", "resource", "list"]).success();
    assert!(listed.contains("tools/read (tools/admin)\n"), "{listed}");
    let scopes = update(&[&names, &["--by-default", "tools/admin"][..]].concat());
    assert_eq!(scopes[1]["default"], true);

    let deleted = place.run(&["admin", "resource", "delete", "my-server"]).success();
    insta::assert_snapshot!(deleted, @"The resource is gone and the grants on it have ended.");
    assert_eq!(place.run(&["admin", "resource", "list"]).success(), "(none)\n");
    let empty = place.run(&["admin", "resource", "list", "--json"]).json();
    assert_eq!(empty["items"], Value::Array(Vec::new()));
    drop(server);
}

#[tokio::test]
async fn scopes_are_added_and_taken_away_by_name() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let update = |options: &[&str]| {
        place.run(&[&["admin", "resource", "update", "my-server", "--json"], options].concat())
    };
    let more = [
        "--add-scope",
        "tools/admin||Administer",
        "--on-request",
        "tools/admin",
        "--remove-scope",
        "tools/write",
    ];
    let read = json!({"name": "tools/read", "description": "Read tools", "default": true});
    let administer = json!({"name": "tools/admin", "description": "Administer", "default": false});
    let expected = json!([read, administer]);
    assert_eq!(update(&more).json()["scopes"], expected);
    assert_eq!(
        update(&["--add-scope", "tools/admin"]).json()["scopes"],
        expected,
        "there already"
    );
    // Only the resource tells, and by then something was sent.
    for option in ["--remove-scope", "--on-request", "--by-default"] {
        let unknown = update(&[option, "tools/none"]).json_failure_with(1);
        assert_eq!(
            unknown["error_description"],
            format!("{option} tools/none: the resource has no such scope")
        );
    }
    assert_eq!(
        update(&["--remove-scope", "tools/read", "--remove-scope", "tools/admin"]).json()["scopes"],
        json!([])
    );
    for wrong in [
        &["--scopes", "a", "--add-scope", "b"][..],
        &["--scopes", "a", "--remove-scope", "b"],
    ] {
        assert_eq!(update(wrong).code, Some(2), "{wrong:?}");
    }
    let taken_away = update(&["--display-name", "A", "--on-request", "tools/read"]);
    taken_away.json_failure_with(1);
    drop(server);
}

/// CWE-362.
#[tokio::test]
async fn operators_who_add_a_scope_each_at_the_same_time_all_do() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let names: Vec<String> = (0..6).map(|number| format!("scope-{number}")).collect();
    let add = |name: &String| {
        let update = ["admin", "resource", "update", "my-server", "--add-scope", name];
        place.start(&update, "")
    };
    let operators: Vec<Process> = names.iter().map(add).collect();
    for operator in operators {
        operator.finish().success();
    }
    let resource = place
        .run(&["admin", "resource", "get", "my-server", "--json"])
        .json();
    let scopes = resource["scopes"].as_array().unwrap();
    let mut there: Vec<&str> = scopes
        .iter()
        .map(|scope| scope["name"].as_str().unwrap())
        .collect();
    there.sort_unstable();
    let before = ["tools/read", "tools/write"].map(str::to_owned);
    assert_eq!(there, [names, before.to_vec()].concat());
    drop(server);
}

/// A server on which another operator is faster, once.
#[test]
fn a_list_of_scopes_takes_away_none_that_is_added_at_the_same_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let resource = |names: &[&str]| {
        let scopes: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"slug": "a", "scopes": scopes}).to_string()
    };
    let changed = r#"{"error":"precondition_failed","error_description":"A sentence.","error_id":"i"}"#;
    let answers = [
        ("200 OK", "\"1\"", resource(&["read", "old"])),
        ("412 Precondition Failed", "", changed.to_owned()),
        ("200 OK", "\"2\"", resource(&["read", "old", "theirs"])),
        ("200 OK", "\"3\"", resource(&["theirs", "read", "mine"])),
    ];
    let server = std::thread::spawn(move || {
        answers.map(|(status, tag, body)| answer(&listener.accept().unwrap().0, status, tag, &body))
    });
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let update = [
        "admin", "--url", &url, "resource", "update", "a", "--scopes", "read", "--scopes", "mine",
    ];
    place.run(&update).success();
    let [_, (first, one), _, (second, other)] = server.join().unwrap();
    assert_eq!((&*first, &*second), ("\"1\"", "\"2\""));
    let scopes = |body: &str| serde_json::from_str::<Value>(body).unwrap()["scopes"].clone();
    assert_eq!(scopes(&one), json!([{"name": "read"}, {"name": "mine"}]));
    assert_eq!(
        scopes(&other),
        json!([{"name": "theirs"}, {"name": "read"}, {"name": "mine"}])
    );
}

/// Answers one request; what its `If-Match` and its body were.
fn answer(mut stream: &TcpStream, status: &str, tag: &str, body: &str) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut condition, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "if-match" => value.clone_into(&mut condition),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    write!(
        stream,
        "HTTP/1.1 {status}\r\netag: {tag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    (condition, String::from_utf8(sent).unwrap())
}
