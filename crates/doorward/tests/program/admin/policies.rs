//! Policies of resources, initial access tokens, and what ends many grants at once.

use serde_json::json;

use super::{CREATE, text};
use crate::support::{Browser, Client, Place, RESOURCE, Tokens, http};

#[tokio::test]
async fn a_policy_is_set_changed_and_taken_back() {
    let place = Place::new();
    let server = place.serve().await;
    let policy = [
        "--on-request",
        "tools/write",
        "--require-dpop",
        "true",
        "--exchange-client",
        "dwp_a",
        "--exchange-client",
        "dwp_b",
        "--access-ttl",
        "10m",
        "--refresh-idle-ttl",
        "7d",
        "--refresh-absolute-ttl",
        "30d",
        "--max-auth-age",
        "1h",
        "--person-claim",
        "email",
        "--claim",
        "tenant=north",
        "--claim",
        "tier=2",
        "--json",
    ];
    let created = place.run(&[&CREATE[..], &policy[..]].concat()).json();
    assert_eq!(
        created["policy"],
        json!({
            "dpop_bound_access_tokens_required": true, "exchange_clients": ["dwp_a", "dwp_b"], "access_ttl": 600,
            "refresh_idle_ttl": 604_800, "refresh_absolute_ttl": 2_592_000, "max_auth_age": 3600,
            "person_claims": ["email"], "claims": {"tenant": "north", "tier": 2},
        })
    );
    let defaults = created["scopes"].as_array().unwrap().iter();
    let defaults: Vec<_> = defaults.map(|scope| scope["default"].as_bool()).collect();
    assert_eq!(defaults, [Some(true), Some(false)]);

    let update = |more: &[&str]| {
        let update = ["admin", "resource", "update", "my-server", "--json"];
        place.run(&[&update[..], more].concat())
    };
    // What is not said stays.
    let changed = update(&["--require-dpop", "false", "--access-ttl", "default"]).json();
    assert_eq!(changed["policy"]["dpop_bound_access_tokens_required"], false);
    assert_eq!(changed["policy"].get("access_ttl"), None);
    assert_eq!(changed["policy"]["max_auth_age"], 3600);
    let emptied = ["--exchange-client", "", "--no-person-claims", "--no-claims"];
    let changed = update(&emptied).json();
    assert_eq!(changed["policy"]["exchange_clients"], json!([]));
    assert_eq!(
        (
            changed["policy"].get("claims"),
            changed["policy"].get("person_claims")
        ),
        (None, None)
    );
    let refused = update(&["--access-ttl", "2d"]).json_failure_with(1).to_string();
    assert!(refused.contains("between 10 and 86400"), "{refused}");
    let refused = update(&["--claim", "sub=me"]).json_failure_with(1).to_string();
    assert!(refused.contains("`sub` is the token's own"), "{refused}");
    let refused = update(&["--scopes", "a||A", "--on-request", "b"])
        .json_failure_with(1)
        .to_string();
    assert!(refused.contains("no such scope"), "{refused}");
    drop(server);
}

#[tokio::test]
async fn somebody_registers_with_a_token_that_the_operator_made() {
    let place = Place::new().set("DOORWARD_REGISTRATION_DCR", "initial_access_token");
    let server = place.serve().await;
    let create = [
        "admin",
        "initial-token",
        "create",
        "--name",
        "Data team",
        "--uses",
        "1",
        "--expires-in",
        "1d",
        "--json",
    ];
    let created = place.run(&create).json();
    let (id, token) = (text(&created, "id"), text(&created, "token"));
    let listed = place.run(&["admin", "initial-token", "list"]).success();
    assert!(
        listed.contains("Data team") && !listed.contains(&token),
        "{listed}"
    );
    let register = async || {
        let request = http().post(format!("{}/oauth/register", server.public_url));
        let metadata = json!({"client_name": "Kiosk", "redirect_uris": ["https://kiosk.example/cb"]});
        let sent = request.bearer_auth(&token).json(&metadata).send().await;
        sent.unwrap().status().as_u16()
    };
    assert_eq!((register().await, register().await), (201, 401));
    place.run(&["admin", "initial-token", "delete", &id]).success();
    let gone = place
        .run(&["admin", "initial-token", "delete", &id])
        .one_line_failure_with(5);
    assert!(gone.starts_with("There is no initial access token"), "{gone}");
}

/// REV-012: every grant of a client, in one command.
#[tokio::test]
async fn all_grants_of_a_client_end_at_once() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let mut clients = Vec::new();
    for name in ["Kiosk", "Counter"] {
        let client = Client::register(&server, name).await;
        let callback = Browser::new().approve(&client.authorization_url()).await;
        let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1;
        let tokens = Tokens::of(client.redeem(&code).await.unwrap());
        clients.push((client, tokens));
    }
    let (first, second) = (&clients[0], &clients[1]);
    let revoke = [
        "admin",
        "grant",
        "revoke-all",
        "--client-id",
        &first.0.id,
        "--resource",
        RESOURCE,
    ];
    assert_eq!(place.run(&revoke).success().trim(), "ended  1");
    assert_eq!(place.run(&revoke).success().trim(), "ended  0");
    let (status, answer) = first.0.refresh(&first.1.refresh).await.unwrap();
    assert_eq!(
        (status.as_u16(), &answer["error"]),
        (400, &"invalid_grant".into())
    );
    assert_eq!(second.0.refresh(&second.1.refresh).await.unwrap().0.as_u16(), 200);
    // Nobody ends all grants by forgetting to say whose.
    let refused = place.run(&["admin", "grant", "revoke-all"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[tokio::test]
async fn the_token_of_an_explanation_comes_from_standard_input() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let client = [
        "admin",
        "client",
        "create",
        "--name",
        "A",
        "--json",
        "--grant-type",
    ];
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let client = place.run(&[&client[..], &[exchange]].concat()).json();
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    let explain = [
        "admin",
        "token-exchange",
        "explain",
        "--client-id",
        &text(&client, "client_id"),
        "--resource",
        RESOURCE,
        "--json",
    ];
    let explained = place.run_with_input(&explain, "no token\n");
    assert_eq!(
        (explained.code, &*explained.stderr),
        (Some(7), ""),
        "{explained:?}"
    );
    let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(
        (&explained["allowed"], &explained["rule"]),
        (&false.into(), &"subject_token".into())
    );
    drop(server);
}

/// A program's keys can change, and what is demanded of it.
#[tokio::test]
async fn the_keys_of_a_client_can_be_replaced() {
    let place = Place::new();
    let server = place.serve().await;
    let keys = |name: &str, x: &str| {
        let file = place.folder().join(name);
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": x});
        std::fs::write(&file, json!({"keys": [key]}).to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (before, after) = (
        keys("before", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        keys("after", "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"),
    );
    let create = [
        "admin", "client", "create", "--name", "A", "--json", "--jwks", &before,
    ];
    let program = ["--grant-type", "client_credentials", "--require-par"];
    let client = place.run(&[&create[..], &program[..]].concat()).json();
    assert_eq!(client["require_pushed_authorization_requests"], true);
    let id = text(&client, "client_id");
    let update = ["admin", "client", "update", &id, "--json"];
    let demands = ["--require-dpop", "true", "--require-par", "false"];
    let changed = place
        .run(&[&update[..], &["--jwks", &after], &demands[..]].concat())
        .json();
    assert_eq!(changed["jwks"]["keys"][0]["kid"], "after");
    assert_eq!(changed["dpop_bound_access_tokens"], true);
    assert_eq!(changed.get("require_pushed_authorization_requests"), None);
    let changed = place
        .run(&[&update[..], &["--jwks-uri", "https://keys.example/jwks.json"]].concat())
        .json();
    assert_eq!(
        (&changed["jwks_uri"], changed.get("jwks")),
        (&"https://keys.example/jwks.json".into(), None)
    );
    drop(server);
}
