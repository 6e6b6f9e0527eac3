//! `doorward admin trusted-issuer`.

use serde_json::json;

use super::{CREATE, stable};
use crate::support::Place;

const TRUST: [&str; 13] = [
    "admin",
    "trusted-issuer",
    "create",
    "--slug",
    "github",
    "--kind",
    "workload",
    "--issuer",
    "https://token.actions.githubusercontent.com",
    "--rule",
    r#"{"name":"deploy","claims":{"sub":"repo:org/repo:ref:refs/heads/main"},"resource":"my-server","scope":"tools/read"}"#,
    "--max-lifetime",
    "900",
];

#[tokio::test]
async fn issuers_are_trusted_listed_changed_and_forgotten() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let created = stable(&place.run(&TRUST).success(), &[]);
    assert!(created.contains("github"), "{created}");
    let shown = place
        .run(&["admin", "trusted-issuer", "get", "github", "--json"])
        .json();
    assert_eq!(shown["max_lifetime"], 900);
    assert_eq!(
        shown["rules"][0]["claims"]["sub"],
        "repo:org/repo:ref:refs/heads/main"
    );
    let narrower = [
        "admin",
        "trusted-issuer",
        "update",
        "github",
        "--single-use",
        "true",
        "--json",
    ];
    let changed = place.run(&narrower).json();
    assert_eq!(
        (&changed["single_use"], &changed["rules"]),
        (&true.into(), &shown["rules"])
    );
    let disabled = place
        .run(&["admin", "trusted-issuer", "disable", "github", "--json"])
        .json();
    assert_eq!(disabled["disabled"], true);
    let enabled = place
        .run(&["admin", "trusted-issuer", "enable", "github", "--json"])
        .json();
    assert_eq!(enabled["disabled"], false);
    place
        .run(&["admin", "trusted-issuer", "delete", "github"])
        .success();
    assert_eq!(
        place.run(&["admin", "trusted-issuer", "list"]).success(),
        "(none)\n"
    );
    drop(server);
}

#[tokio::test]
async fn a_subject_is_linked_to_a_person() {
    let place = Place::new();
    let server = place.serve().await;
    let trust = [
        "admin",
        "trusted-issuer",
        "create",
        "--slug",
        "okta",
        "--kind",
        "identity-provider",
        "--issuer",
        "https://example.okta.com",
    ];
    place.run(&trust).success();
    let add = ["admin", "user", "create", "--email", "ada@example.com", "--json"];
    let person = place
        .run_with_input(&add, "correct horse battery staple\n")
        .json();
    let id = person["id"].as_str().unwrap();
    let subject = "auth0|a/b c";
    let link = [
        "admin",
        "trusted-issuer",
        "link",
        "okta",
        subject,
        "--user",
        id,
        "--json",
    ];
    assert_eq!(place.run(&link).json()["user"], id);
    let links = place
        .run(&["admin", "trusted-issuer", "links", "okta", "--json"])
        .json();
    assert_eq!(links["items"][0]["subject"], subject);
    place
        .run(&["admin", "trusted-issuer", "unlink", "okta", subject])
        .success();
    assert_eq!(
        place.run(&["admin", "trusted-issuer", "links", "okta"]).success(),
        "(none)\n"
    );
    drop(server);
}

#[tokio::test]
async fn what_an_issuer_was_given_can_be_taken_away() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let rule = r#"{"name":"all","client_ids":["*"],"resource":"my-server","scope":"tools/read"}"#;
    let create = [
        "admin",
        "trusted-issuer",
        "create",
        "--slug",
        "okta",
        "--kind",
        "identity-provider",
        "--issuer",
        "https://example.okta.com",
        "--audience",
        "this-server",
        "--id-token-client",
        "here=there",
        "--rule",
        rule,
        "--jwks-uri",
        "https://example.okta.com/pinned",
        "--disabled",
        "--json",
    ];
    let created = place.run(&create).json();
    assert_eq!(
        created["disabled"], true,
        "not live before anybody has looked at it"
    );
    for (option, with, member, empty) in [
        ("--no-audiences", ["--audience", "a"], "audiences", json!([])),
        (
            "--no-id-token-clients",
            ["--id-token-client", "a=b"],
            "id_token_clients",
            json!({}),
        ),
        ("--no-rules", ["--rule", "{}"], "rules", json!([])),
        (
            "--no-jwks",
            ["--jwks-uri", "https://a.example/k"],
            "jwks_uri",
            json!(null),
        ),
    ] {
        assert_ne!(created[member], empty);
        let update = ["admin", "trusted-issuer", "update", "okta", "--json", option];
        assert_eq!(place.run(&update).json()[member], empty);
        assert_eq!(
            place.run(&[&update[..], &with].concat()).code,
            Some(2),
            "{option}"
        );
    }
    drop(server);
}
