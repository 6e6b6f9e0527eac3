//! `doorward admin resource`.

use serde_json::{Value, json};

use super::{CREATE, stable};
use crate::support::{Place, RESOURCE};

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
