//! `doorward admin grant` and `doorward admin key`.

use serde_json::Value;

use super::{stable, text};
use crate::support::{Browser, Client, Place, RESOURCE, Tokens, claims, http};

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
    assert_eq!(claims(&tokens.access)["gid"], id.as_str());
    let shown = place.run(&["admin", "grant", "get", &id]).success();
    assert!(
        shown.contains(RESOURCE) && shown.contains("tools/read"),
        "{shown}"
    );
    let table = place.run(&["admin", "grant", "list"]).success();
    assert!(table.starts_with("ID "), "{table}");

    insta::assert_snapshot!(place.run(&["admin", "grant", "revoke", &id]).success(), @"The grant has ended: its refresh tokens are dead. Guards that follow the revocation feed refuse its access tokens at once, others when they expire.");
    assert_eq!(place.run(&active).json()["items"], Value::Array(Vec::new()));
    let (status, answer) = client.refresh(&tokens.refresh).await.unwrap();
    assert_eq!(
        (status.as_u16(), &answer["error"]),
        (400, &"invalid_grant".into())
    );
}

#[tokio::test]
async fn keys_are_listed_rotated_and_revoked() {
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
    KEY_ID                                       ALGORITHM  STATE   STARTS_AT             STOPS_AT
    [second]  ES256      next    [time]  -
    [first]  ES256      active  [time]  [time]
    ");
    let jwks = http()
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
    assert_eq!(ids, [first.clone(), second.clone()]);
    assert!(
        jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key.get("d").is_none()),
        "{jwks}"
    );

    // One id in 64 begins with a hyphen.
    let unknown = place.run(&["admin", "key", "revoke", "-FbQ", "--json"]);
    assert!(!unknown.stderr.contains("unexpected argument"), "{unknown:?}");
    let revoked = place.run(&["admin", "key", "revoke", &first, "--json"]).json();
    assert_eq!(
        (&revoked["key_id"], &revoked["state"]),
        (&second.as_str().into(), &"active".into())
    );
    let now = place.run(&["admin", "key", "rotate", "--now", "--json"]).json();
    assert_eq!(now["state"], "active");
    let states = place.run(&["admin", "key", "list", "--json"]).json();
    let states: Vec<_> = states["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| text(key, "state"))
        .collect();
    assert_eq!(states, ["active", "previous", "revoked"]);
    let complaint = place
        .run(&["admin", "key", "revoke", "nobody"])
        .one_line_failure_with(5);
    assert!(
        complaint.starts_with("There is no signing key with this id; list them to see what there is."),
        "{complaint}"
    );
}
