//! `doorward admin assertion-audience`.

use serde_json::json;

use super::stable;
use crate::support::Place;

const BASE: [&str; 2] = ["admin", "assertion-audience"];

fn command<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [BASE.as_slice(), rest].concat()
}

#[tokio::test]
async fn audiences_are_added_listed_changed_and_removed() {
    let place = Place::new();
    let server = place.serve().await;
    let rule =
        r#"{"name":"all","client_ids":["app"],"resource":"https://chat.example/mcp","scope":"chat.read"}"#;
    let create = command(&[
        "create",
        "--slug",
        "chat",
        "--issuer",
        "https://auth.chat.example",
        "--client-name",
        "app=app-over-there",
        "--client-name",
        "https://app.example/client.json?v=1=chat-app",
        "--rule",
        rule,
    ]);
    let created = stable(&place.run(&create).success(), &[]);
    assert!(created.contains("https://auth.chat.example"), "{created}");
    let shown = place.run(&command(&["get", "chat", "--json"])).json();
    assert_eq!(shown["lifetime"], 300);
    assert_eq!(shown["client_names"]["app"], "app-over-there");
    assert_eq!(
        shown["client_names"]["https://app.example/client.json?v=1"],
        "chat-app"
    );
    assert_eq!(shown["rules"][0]["scope"], "chat.read");
    let change = command(&[
        "update",
        "chat",
        "--lifetime",
        "60",
        "--person-claim",
        "email",
        "--json",
    ]);
    let changed = place.run(&change).json();
    assert_eq!(
        (
            &changed["lifetime"],
            &changed["person_claims"][0],
            &changed["rules"]
        ),
        (&60.into(), &"email".into(), &shown["rules"])
    );
    for (verb, disabled) in [("disable", true), ("enable", false)] {
        assert_eq!(
            place.run(&command(&[verb, "chat", "--json"])).json()["disabled"],
            disabled
        );
    }
    place.run(&command(&["delete", "chat"])).success();
    assert_eq!(place.run(&command(&["list"])).success(), "(none)\n");
    drop(server);
}

#[tokio::test]
async fn the_lists_of_an_audience_can_be_emptied() {
    let place = Place::new();
    let server = place.serve().await;
    let rule =
        r#"{"name":"all","client_ids":["app"],"resource":"https://chat.example/mcp","scope":"chat.read"}"#;
    let create = command(&[
        "create",
        "--slug",
        "chat",
        "--issuer",
        "https://auth.chat.example",
        "--person-claim",
        "email",
        "--client-name",
        "app=app-over-there",
        "--rule",
        rule,
        "--disabled",
        "--json",
    ]);
    let created = place.run(&create).json();
    assert_eq!(created["disabled"], true);
    for (option, with, member, empty) in [
        (
            "--no-person-claims",
            ["--person-claim", "name"],
            "person_claims",
            json!([]),
        ),
        (
            "--no-client-names",
            ["--client-name", "a=b"],
            "client_names",
            json!({}),
        ),
        ("--no-rules", ["--rule", "{}"], "rules", json!([])),
    ] {
        assert_ne!(created[member], empty);
        let update = command(&["update", "chat", "--json", option]);
        assert_eq!(place.run(&update).json()[member], empty);
        assert_eq!(
            place.run(&[&update[..], &with].concat()).code,
            Some(2),
            "{option}"
        );
    }
    drop(server);
}
