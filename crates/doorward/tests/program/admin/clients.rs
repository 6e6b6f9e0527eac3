//! `doorward admin client`.

use super::{stable, text};
use crate::support::{Place, Server, http};

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

    for (filters, found) in [
        (
            &["--search", "DES", "--source", "admin", "--disabled", "false"][..],
            true,
        ),
        (&["--search", "robot"], false),
        (&["--source", "metadata_document"], false),
        (&["--disabled", "true"], false),
    ] {
        let listed = place
            .run(&[&["admin", "client", "list"][..], filters].concat())
            .success();
        assert_eq!(listed.contains(&id), found, "{filters:?}: {listed}");
    }

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
    place
        .run(&["admin", "client", "get", &id])
        .one_line_failure_with(5);
}

async fn introspection_status(server: &Server, id: &str, secret: &str) -> u16 {
    let request = http()
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
async fn clients_and_people_are_disabled_by_a_verb_and_from_the_beginning() {
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
    ];
    let created = place
        .run(&[&create[..], &["--disabled", "--json"]].concat())
        .json();
    assert_eq!(created["disabled"], true);
    let id = text(&created, "client_id");
    for (verb, disabled) in [("enable", false), ("disable", true)] {
        let client = place.run(&["admin", "client", verb, &id, "--json"]).json();
        assert_eq!(client["disabled"], disabled);
    }
    let create = [
        "admin",
        "user",
        "create",
        "--email",
        "ada@example.com",
        "--disabled",
        "--json",
    ];
    let person = place.run_with_input(&create, "a tall ship and a star\n").json();
    assert_eq!(person["disabled"], true);
    drop(server);
}
