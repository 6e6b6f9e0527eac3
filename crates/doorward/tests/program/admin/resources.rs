//! `doorward admin resource`.

use serde_json::Value;

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

    let deleted = place.run(&["admin", "resource", "delete", "my-server"]).success();
    insta::assert_snapshot!(deleted, @"The resource is gone and the grants on it have ended.");
    assert_eq!(place.run(&["admin", "resource", "list"]).success(), "(none)\n");
    let empty = place.run(&["admin", "resource", "list", "--json"]).json();
    assert_eq!(empty["items"], Value::Array(Vec::new()));
    drop(server);
}
