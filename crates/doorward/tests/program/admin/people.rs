//! `doorward admin user`.

use super::{stable, text};
use crate::support::{Browser, EMAIL, PASSWORD, Place};

#[tokio::test]
async fn a_persons_password_comes_from_standard_input() {
    let place = Place::new();
    let server = place.serve().await;
    let create = ["admin", "user", "create", "--email", EMAIL, "--json"];
    let refused = place.run_with_input(&create[..5], "short\n").one_line_failure();
    assert!(
        refused.starts_with("a password must have at least 12 characters. (HTTP 400"),
        "{refused}"
    );
    // Nothing to read is an empty password.
    place.run(&create).json_failure_with(1);
    let created = place.run_with_input(&create, &format!("{PASSWORD}\r\n")).json();
    let id = text(&created, "id");
    assert!(!created.to_string().contains("argon2"), "{created}");
    let listed = place.run(&["admin", "user", "list"]).success();
    insta::assert_snapshot!(stable(&listed, &[(&id, "[id]")]), @r"
    ID                                    EMAIL            NAME             DISABLED
    [id]  ada@example.com  ada@example.com  false
    ");

    for person in [EMAIL, "ADA@Example.com", &id] {
        let shown = place.run(&["admin", "user", "get", person, "--json"]).json();
        assert_eq!(text(&shown, "id"), id);
        place.run(&["admin", "grant", "list", "--user", person]).success();
        let ended = place
            .run(&["admin", "grant", "revoke-all", "--user", person, "--json"])
            .json();
        assert_eq!(ended["ended"], 0);
    }
    let found = place
        .run(&["admin", "user", "list", "--email", "nobody@example.com"])
        .success();
    assert_eq!(found, "(none)\n");
    for command in [
        &["admin", "user", "get", "nobody@example.com"][..],
        &["admin", "grant", "revoke-all", "--user", "nobody@example.com"],
    ] {
        let refused = place.run(command).one_line_failure_with(5);
        assert!(
            refused.contains("there is no person with the e-mail address nobody@example.com"),
            "{refused}"
        );
    }

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
