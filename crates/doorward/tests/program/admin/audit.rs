//! `doorward admin audit`.

use serde_json::json;

use super::text;
use crate::support::{EMAIL, Place};

#[tokio::test]
async fn what_was_done_is_listed_and_shown() {
    let place = Place::new();
    let _server = place.serve().await;
    place.populate();
    let list = [
        "admin",
        "audit",
        "list",
        "--actor",
        "admin_key",
        "--since",
        "1h",
        "--json",
    ];
    let listed = place.run(&list).json();
    let first = &listed["items"][0];
    assert_eq!(first["outcome"], "done", "{listed}");
    let shown = place
        .run(&["admin", "audit", "get", &text(first, "id")])
        .success();
    assert!(shown.contains(&text(first, "action")), "{shown}");
    let is_time = |line: &str| line.starts_with("at ") && line.ends_with('Z');
    assert!(shown.lines().any(is_time), "{shown}");
    let table = place
        .run(&["admin", "audit", "list", "--action", "resource.created"])
        .success();
    assert!(table.starts_with("AT "), "{table}");
    assert!(table.contains("resource.created"), "{table}");
    // Whom it is about has a column of its own.
    let users = place.run(&["admin", "user", "list", "--json"]).json();
    let ada = text(&users["items"][0], "id");
    let about = |subject: &str| {
        let list = ["admin", "audit", "list", "--json", "--subject", subject];
        place.run(&list).json()["items"].clone()
    };
    assert_eq!(about(EMAIL), about(&ada));
    assert!(!about(EMAIL).as_array().unwrap().is_empty());
    // Subjects of workloads may look like addresses.
    assert_eq!(about("robot@project.example"), json!([]));
    place.run(&["admin", "user", "disable", &ada]).success();
    let table = place
        .run(&["admin", "audit", "list", "--action", "user.disabled"])
        .success();
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (heading, line) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(heading[6..9], ["CLIENT_ID", "SUBJECT", "TARGET"]);
    assert_eq!(line[6..9], ["-", &ada, "-"]);
    let none = ["admin", "audit", "list", "--until", "2020-01-01T00:00:00Z"];
    assert_eq!(place.run(&none).success().trim(), "(none)");
    let wrong = place.run(&["admin", "audit", "list", "--since", "yesterday"]);
    assert!(wrong.stderr.contains("how long ago"), "{wrong:?}");
}
