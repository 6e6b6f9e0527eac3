//! Lists of several pages, and what stands in for a name.

use std::net::TcpListener;

use serde_json::json;

use super::text;
use crate::support::Place;

/// More than the API gives at once (200).
const MANY: usize = 203;

#[tokio::test]
async fn a_list_is_walked_to_its_end_when_all_of_it_is_asked_for() {
    let place = Place::new().set("DOORWARD_REGISTRATION_DCR", "initial_access_token");
    let server = place.serve().await;
    let list = ["admin", "initial-token", "list"];
    let with = |more: &[&'static str]| place.run(&[&list[..], more].concat());
    assert_eq!(with(&["--all"]).success(), "(none)\n");
    assert_eq!(with(&["--all", "--json"]).json(), json!({"items": []}));
    let http = crate::support::http();
    for number in 0..MANY {
        let name = format!("n{number}");
        let made = http
            .post(format!("{}/admin/initial-access-tokens", server.admin_url))
            .bearer_auth(crate::support::ADMIN_KEY)
            .json(&json!({"name": name}))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 201);
    }
    let newest_first: Vec<_> = (0..MANY).rev().map(|number| format!("n{number}")).collect();
    let all = with(&["--all", "--json"]).json();
    let rows = all["items"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| text(row, "name")).collect();
    assert_eq!((names, all.get("next")), (newest_first.clone(), None));
    let table = with(&["--all"]).success();
    let names: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(names, newest_first);

    // A table is rows alone; what else there is to say is said elsewhere.
    let first = with(&[]);
    assert_eq!(
        (first.code, first.stdout.lines().count()),
        (Some(0), 51),
        "{first:?}"
    );
    assert!(
        first.stderr.starts_with("note: there is more: --cursor "),
        "{first:?}"
    );
    assert!(first.stderr.trim_end().ends_with(", or --all"), "{first:?}");
    let refused = with(&["--all", "--limit", "3"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}

#[tokio::test]
async fn rules_are_shown_with_what_they_allow_and_links_are_found_by_subject() {
    let place = Place::new();
    let _server = place.serve().await;
    place.populate();
    let rule = r#"{"name":"mine","client_ids":["*"],"resource":"demo","scope":"tools/read"}"#;
    let create = [
        "admin",
        "trusted-issuer",
        "create",
        "--slug",
        "okta",
        "--kind",
        "identity-provider",
        "--issuer",
        "https://okta.example",
        "--rule",
        rule,
    ];
    place.run(&create).success();
    let shown = place.run(&["admin", "trusted-issuer", "get", "okta"]).success();
    for what in [
        "\"name\":\"mine\"",
        "\"scope\":\"tools/read\"",
        crate::support::RESOURCE,
    ] {
        assert!(shown.contains(what), "{what}: {shown}");
    }
    let people = place.run(&["admin", "user", "list", "--json"]).json();
    let id = text(&people["items"][0], "id");
    for subject in ["00u1", "00u2"] {
        let link = ["admin", "trusted-issuer", "link", "okta", subject, "--user", &id];
        place.run(&link).success();
    }
    let links = [
        "admin",
        "trusted-issuer",
        "links",
        "okta",
        "--subject",
        "00u2",
        "--json",
    ];
    let found = place.run(&links).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["subject"], "00u2");
}

#[tokio::test]
async fn keys_and_tokens_can_be_shown_one_by_one() {
    let place = Place::new().set("DOORWARD_REGISTRATION_DCR", "initial_access_token");
    let _server = place.serve().await;
    for what in ["admin-key", "initial-token"] {
        let create = ["admin", what, "create", "--name", "A team", "--json"];
        let id = text(&place.run(&create).json(), "id");
        let shown = place.run(&["admin", what, "get", &id, "--json"]).json();
        assert_eq!((&shown["id"], &shown["name"]), (&id.into(), &"A team".into()));
        assert!(
            shown.get("key").is_none() && shown.get("token").is_none(),
            "{shown}"
        );
    }
    let keys = place.run(&["admin", "key", "list", "--json"]).json();
    let id = text(&keys["items"][0], "key_id");
    let shown = place.run(&["admin", "key", "get", &id, "--json"]).json();
    assert_eq!(shown, keys["items"][0]);
    place
        .run(&["admin", "key", "get", "-nobody"])
        .one_line_failure_with(5);
}

/// An address where nobody answers, and where it shows who asked.
fn nobody() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Without its last part an address is another one: `client get ""` would be the list, `client delete ..` something else.
#[test]
fn an_empty_name_is_refused_before_anything_is_sent() {
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let (listener, url) = nobody();
    for name in ["", ".", ".."] {
        for (what, verb) in [
            ("client", "get"),
            ("client", "rotate-secret"),
            ("user", "disable"),
            ("key", "revoke"),
        ] {
            let complaint = place.run(&["admin", what, verb, name, "--url", &url]);
            let complaint = complaint.one_line_failure_with(2);
            assert_eq!(
                complaint,
                "a name or id is empty, or made of dots; nothing was sent"
            );
        }
    }
    assert!(listener.accept().is_err(), "somebody was asked");
}

/// What a script passes on whose variable nobody set.
#[test]
fn an_empty_person_is_refused_before_anything_is_sent() {
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let (listener, url) = nobody();
    for command in [
        &["grant", "list", "--user", ""][..],
        &["grant", "revoke-all", "--user", ""],
        &["trusted-issuer", "link", "okta", "00u1", "--user", ""],
        &["trusted-issuer", "link", "", "00u1", "--user", "ada@example.com"],
    ] {
        let complaint = place.run(&[&["admin"], command, &["--url", &url]].concat());
        assert_eq!(
            complaint.one_line_failure_with(2),
            "a name or id is empty, or made of dots; nothing was sent"
        );
    }
    assert!(listener.accept().is_err(), "somebody was asked");
}

#[test]
fn who_is_named_by_neither_id_nor_address_is_refused_before_anything_is_sent() {
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let (listener, url) = nobody();
    for command in [
        &["user", "get", "ann"][..],
        &["user", "disable", "ann"],
        &["grant", "list", "--user", "ann"],
        &["grant", "revoke-all", "--user", "ann"],
        &["trusted-issuer", "link", "okta", "00u1", "--user", "ann"],
    ] {
        let complaint = place.run(&[&["admin"], command, &["--url", &url]].concat());
        assert_eq!(
            complaint.one_line_failure_with(2),
            "name a person by id or e-mail address; nothing was sent"
        );
    }
    assert!(listener.accept().is_err(), "somebody was asked");
}

/// The public address has no admin API, which is no answer about a record.
#[tokio::test]
async fn no_such_address_is_not_no_such_record() {
    let place = Place::new();
    let server = place.serve().await;
    let get = ["admin", "client", "get", "a", "--url", &server.issuer];
    let complaint = place.run(&get).one_line_failure_with(1);
    assert!(complaint.contains("has no such operation"), "{complaint}");
    assert!(complaint.contains("--url"), "{complaint}");
    let told = place.run(&[&get[..], &["--json"]].concat()).json_failure_with(1);
    assert_eq!(told["error"], "unknown_endpoint");
}
