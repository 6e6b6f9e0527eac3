//! ID tokens of trusted identity providers as subjects of a token exchange (TX-025, TX-026, TX-031).

use doorward_jose::{Algorithm, sign};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{
    ACCESS_TOKEN, Machine, SEARCH, access_token, app, fresh, key, machine, set_policy, sign_with, statuses,
};
use crate::support::{EMAIL, RESOURCE, Reply, TestApp, claims};
use crate::trusted::{IDP, Trusted, assert_error, merge, provider, trust};

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// What the provider calls the client.
const CLIENT: &str = "0oa1";

/// A client that may exchange the provider's ID tokens.
async fn permitted(app: &TestApp, changes: Value) -> (Trusted, Machine) {
    let client = machine(app, json!({})).await;
    let mut body = json!({"id_token_clients": {&client.client_id: CLIENT}});
    merge(&mut body, changes);
    (provider(app, body).await, client)
}

fn id_token(app: &TestApp, idp: &Trusted, changes: Value) -> Value {
    let now = app.context.now().seconds();
    let mut claims = json!({
        "iss": idp.issuer, "sub": "00u1", "aud": CLIENT, "iat": now, "exp": now + 3600, "auth_time": now - 60,
        "amr": ["pwd", "otp"], "nonce": "n", "email": EMAIL,
    });
    merge(&mut claims, changes);
    claims
}

async fn exchange(app: &TestApp, client: &Machine, token: &str, changes: &[(&str, &str)]) -> Reply {
    let typed = [("subject_token_type", ID_TOKEN), ("resource", RESOURCE)];
    client
        .exchange(app, token, &[&typed, changes].concat(), &[])
        .await
}

async fn show(app: &TestApp, client: &Machine, idp: &Trusted, changes: Value) -> Reply {
    let token = sign(&idp.key, "JWT", &id_token(app, idp, changes)).unwrap();
    exchange(app, client, &token, &[]).await
}

/// TX-031, TX-001.
#[tokio::test]
async fn an_id_token_gives_a_token_of_the_linked_person() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({})).await;
    let reply = show(&app, &client, &idp, json!({})).await;
    access_token(&reply);
    let body = reply.json();
    assert_eq!(
        (&body["issued_token_type"], &body["token_type"]),
        (&json!(ACCESS_TOKEN), &json!("Bearer"))
    );
    assert_eq!(body.get("refresh_token"), None);
    let token = claims(&body);
    let now = app.context.now().seconds();
    assert_eq!(token["sub"], app.user.id.0.to_string());
    assert_eq!(
        (&token["aud"], &token["client_id"]),
        (&json!(RESOURCE), &json!(client.client_id))
    );
    assert_eq!(token["act"], json!({"sub": client.client_id}));
    assert_eq!(
        (&token["auth_time"], &token["amr"]),
        (&json!(now - 60), &json!(["pwd", "otp"]))
    );
    assert_eq!(app.grants().await[0].trusted_issuer.as_deref(), Some("idp"));
    let soon = show(&app, &client, &idp, json!({"exp": now + 30})).await;
    assert_eq!(
        claims(&soon.json())["exp"],
        now + 30,
        "it ends no later than the ID token"
    );
    let named = sign_with(&idp.key, None, &id_token(&app, &idp, json!({"azp": CLIENT})));
    access_token(&exchange(&app, &client, &named, &[]).await);
}

/// TX-025.
#[tokio::test]
async fn an_id_token_that_does_not_hold_is_no_subject() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({})).await;
    let now = app.context.now().seconds();
    let mut answers = Vec::new();
    for (name, value) in [
        ("iss", json!("https://nobody.example")),
        ("iss", json!(format!("{IDP}/"))),
        ("iss", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!(client.client_id)),
        ("aud", json!([CLIENT, "another-client"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("azp", json!("another-client")),
        ("azp", json!(7)),
        ("exp", json!(now)),
        ("exp", json!(now + 90_000)),
        ("exp", Value::Null),
        ("iat", json!(now + 3600)),
        ("iat", Value::Null),
        ("nbf", json!(now + 3600)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("00u2")),
        ("tenant", json!("acme")),
        // Other JWTs of the provider, for the same client.
        (
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
        ),
        ("typ", json!("Bearer")),
        ("scope", json!("openid")),
        ("scp", json!(["api"])),
        ("appid", json!(CLIENT)),
    ] {
        let mut changes = json!({});
        changes[name] = value.clone();
        let reply = show(&app, &client, &idp, changes).await;
        assert_error(&reply, "invalid_request");
        answers.push((name, reply.json()["error_description"].clone()));
    }
    let good = id_token(&app, &idp, json!({}));
    for typ in ["at+jwt", "oauth-id-jag+jwt", "dpop+jwt", "logout+jwt"] {
        let reply = exchange(&app, &client, &sign(&idp.key, typ, &good).unwrap(), &[]).await;
        assert_error(&reply, "invalid_request");
        answers.push((typ, reply.json()["error_description"].clone()));
    }
    let forged = sign(&key(Algorithm::Es256), "JWT", &good).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", forged.split('.').nth(1).unwrap());
    let secret = format!("eyJhbGciOiJIUzI1NiJ9.{}.AAAA", forged.split('.').nth(1).unwrap());
    for token in [&*forged, &unsigned, &secret, "x.y.z", ""] {
        assert_error(&exchange(&app, &client, token, &[]).await, "invalid_request");
    }
    assert!(
        answers.iter().all(|(_, answer)| *answer == answers[0].1),
        "{answers:?}"
    );
    assert!(app.grants().await.is_empty());
}

/// TX-031: by default no client may, and no rule allows anything.
#[tokio::test]
async fn without_a_permission_for_client_and_issuer_nothing_is_exchanged() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({})).await;
    let other = machine(&app, json!({})).await;
    assert_error(&show(&app, &other, &idp, json!({})).await, "invalid_request");
    let without = machine(&app, json!({"grant_types": ["client_credentials"]})).await;
    assert_error(
        &show(&app, &without, &idp, json!({})).await,
        "unauthorized_client",
    );
    let unproven = Machine {
        client_id: client.client_id.clone(),
        secret: None,
    };
    assert_error(&show(&app, &unproven, &idp, json!({})).await, "invalid_client");
    let second =
        json!({"rules": [{"name": "all", "client_ids": ["*"], "resource": "mcp", "scope": "mcp:read"}]});
    let second = trust(
        &app,
        "identity_provider",
        "second",
        "https://second.example",
        second,
    )
    .await;
    assert_error(&show(&app, &client, &second, json!({})).await, "invalid_request");
    let token = sign(&idp.key, "JWT", &id_token(&app, &idp, json!({}))).unwrap();
    for (changes, error) in [
        (vec![("resource", "https://nowhere.example")], "invalid_target"),
        (vec![("resource", "")], "invalid_target"),
        (vec![("resource", SEARCH)], "invalid_request"),
        (vec![("scope", "mcp:admin")], "invalid_scope"),
        (
            vec![("requested_token_type", crate::vouching::ID_JAG)],
            "invalid_request",
        ),
    ] {
        assert_error(&exchange(&app, &client, &token, &changes).await, error);
    }
    idp.change(&app, json!({"rules": []})).await;
    assert_error(&show(&app, &client, &idp, json!({})).await, "invalid_request");
    idp.change(&app, json!({"id_token_clients": {}})).await;
    assert_error(&show(&app, &client, &idp, json!({})).await, "invalid_request");
    let workload = json!({"id_token_clients": {"a": "b"}, "slug": "ci", "kind": "workload", "issuer": "https://ci.example"});
    let refused = crate::machine::admin(&app, "POST", "/admin/trusted-issuers", workload).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

/// Providers differ in how they write what only describes a person.
#[tokio::test]
async fn what_only_describes_a_person_may_be_written_oddly() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({})).await;
    let odd = json!({"email_verified": "true", "name": 7, "amr": "pwd", "email": false, "typ": "ID"});
    let reply = show(&app, &client, &idp, odd).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

/// TX-026.
#[tokio::test]
async fn the_same_subject_of_two_issuers_is_two_people() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({"provision": true})).await;
    let rules = json!({
        "rules": [{"name": "all", "client_ids": ["*"], "resource": "mcp", "scope": "mcp:read"}], "provision": true,
        "id_token_clients": {&client.client_id: CLIENT},
    });
    let second = trust(
        &app,
        "identity_provider",
        "second",
        "https://second.example",
        rules,
    )
    .await;
    let changes = json!({"sub": "42", "email": null});
    let mut people = Vec::new();
    for issuer in [&idp, &second, &idp] {
        let reply = show(&app, &client, issuer, changes.clone()).await;
        people.push(claims(&reply.json())["sub"].clone());
    }
    assert_ne!(people[0], people[1]);
    assert_eq!(people[0], people[2]);
}

/// RFC 9470, and tokens that count once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_resource_and_issuer_demand_holds_for_id_tokens_too() {
    let app = app().await;
    let (idp, client) = permitted(&app, json!({"single_use": true})).await;
    set_policy(&app, "mcp", json!({"max_auth_age": 30})).await;
    let now = app.context.now().seconds();
    let old = json!({"jti": fresh("it")});
    assert_error(&show(&app, &client, &idp, old).await, "invalid_request");
    let recent = json!({"auth_time": now - 10, "jti": fresh("it")});
    let token = sign(&idp.key, "JWT", &id_token(&app, &idp, recent)).unwrap();
    let replies = join_all((0..50).map(|_| exchange(&app, &client, &token, &[]))).await;
    assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    let ahead = json!({"auth_time": now * 1000, "jti": fresh("it")});
    assert_error(&show(&app, &client, &idp, ahead).await, "invalid_request");
    let without = json!({"auth_time": now - 10});
    assert_error(&show(&app, &client, &idp, without).await, "invalid_request");
}
