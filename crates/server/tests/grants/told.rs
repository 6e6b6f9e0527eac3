//! What the log says of who asks at the token endpoint, and of what they get.

use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{TOKEN, app_with, machine, person};
use crate::support::log::Log;
use crate::support::{REDIRECT, RESOURCE, Reply, claims};
use crate::trusted::{CI, desktop, provider, show_alone, trust};
use crate::vouching::Scene;

/// The claims of a JWT in an answer.
fn issued(reply: &Reply) -> Value {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    claims(&reply.json())
}

/// A token that is found on the street leads to the request that it was given out for.
#[tokio::test]
async fn the_line_of_a_request_names_the_token_that_it_got_and_its_grant() {
    let log = Log::start();
    let scene = Scene::new().await;
    let (app, client) = (&scene.app, &scene.client);
    let check = |reply: &Reply, grant: Option<&str>, also: Option<&str>| {
        let claims = issued(reply);
        let lines = log.lines();
        let line = lines
            .iter()
            .rfind(|line| line["target"] == "doorward::request")
            .unwrap();
        assert_eq!(line["jti"], claims["jti"], "{line}");
        let grant = grant.map_or(claims["gid"].clone(), Value::from);
        assert_eq!(line["grant"], grant, "{line}");
        assert_eq!(line["status"], 200);
        if let Some(message) = also {
            let told = lines.iter().find(|line| line["message"] == message).unwrap();
            assert_eq!(told["request_id"], line["request_id"], "{told}");
        }
    };
    // The code was redeemed by the scene.
    let line = log.request();
    assert_eq!(line["jti"], claims(&scene.response)["jti"]);
    let grant = claims(&scene.response)["gid"].as_str().unwrap().to_owned();
    assert_eq!(line["grant"], *grant);

    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", scene.refresh_token()),
    ];
    check(&client.token(app, &refresh, &[]).await, None, None);
    check(
        &scene.ask(&[]).await,
        Some(&grant),
        Some("issued an identity assertion for another server"),
    );

    let program = machine(app, json!({})).await;
    check(&program.own(app, &[]).await, None, None);
    crate::machine::allow_exchange(app, "search", &[&program]).await;
    let exchanged = program
        .exchange(app, scene.token(), &[("scope", "mcp:read")], &[])
        .await;
    check(&exchanged, None, Some("exchanged a token"));

    let on_their_word = Some("issued a token on an issuer's word");
    let (idp, desktop) = (provider(app, json!({})).await, desktop(app).await);
    check(&idp.show(app, &desktop, json!({})).await, None, on_their_word);
    let rules = json!({"rules": [{"name": "all", "claims": {"sub": "job-1"}, "resource": "mcp", "scope": "mcp:read"}]});
    let ci = trust(app, "workload", "ci", CI, rules).await;
    let token = ci.workload(app, json!({}));
    check(
        &show_alone(app, &token, &[("resource", RESOURCE)]).await,
        None,
        on_their_word,
    );

    // What was refused got none.
    client
        .token(app, &refresh[..1], &[])
        .await
        .assert_error("invalid_request");
    let line = log.request();
    assert_eq!((line.get("jti"), line.get("grant")), (None, None), "{line}");
}

/// The answer to every stranger is the same, and the log knows the difference.
#[tokio::test]
async fn the_line_of_a_stranger_says_from_where_who_they_claim_to_be_and_what_was_wrong() {
    let log = Log::start();
    let app =
        app_with(|settings| settings.server.trusted_proxies = vec!["0.0.0.0/32".parse().unwrap()]).await;
    let (known, signs) = (
        machine(&app, json!({})).await,
        crate::machine::signing_machine(&app, &crate::machine::key(doorward_jose::Algorithm::Es256)).await,
    );
    let gone = machine(&app, json!({})).await;
    app.disable_client(&gone.client_id).await;
    let public = app
        .add_client(doorward_store::ClientSource::Dynamic, &[REDIRECT])
        .await;
    let canary = "dwsec_canary-canary-canary-canary";
    let longest = "x".repeat(256);
    let mut answers = Vec::new();
    for (client_id, secret, reason) in [
        (&*known.client_id, Some(canary), "a wrong secret"),
        (&*known.client_id, None, "no secret, and the client has one"),
        (
            &*signs.client_id,
            Some(canary),
            "no assertion, and the client signs them",
        ),
        (&*public, Some(canary), "a secret, and the client has none"),
        (&*gone.client_id, gone.secret.as_deref(), "the client is disabled"),
        ("evil\r\n{}", Some(canary), "the client is unknown"),
        (&*"x".repeat(1000), Some(canary), "the client is unknown"),
    ] {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client_id)];
        form.extend(secret.map(|secret| ("client_secret", secret)));
        for path in [TOKEN, "/oauth/introspect", "/oauth/revoke"] {
            let headers = [("x-forwarded-for", "198.51.100.7")];
            let reply = app.browser().post_pairs(path, &headers, &form).await;
            assert_eq!(reply.json()["error"], "invalid_client", "{reply:?}");
            let line = log.request();
            assert_eq!(line["address"], "198.51.100.7", "{line}");
            assert_eq!(line["internal"], reason, "{line}");
            let claimed = if client_id.len() > 256 {
                &*longest
            } else {
                client_id
            };
            assert_eq!(line["claimed_client_id"], claimed, "{line}");
            assert_eq!(line.get("client_id"), None, "{line}");
            assert!(!line.to_string().contains("canary"), "{line}");
            answers.push(reply.json()["error_description"].clone());
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Once it is known, nobody claims any more.
    app.browser()
        .post_pairs(
            "/oauth/revoke",
            &[],
            &[known.credentials(), vec![("token", "x")]].concat(),
        )
        .await;
    let line = log.request();
    assert_eq!(line["client_id"], known.client_id, "{line}");
    assert_eq!(
        (line.get("claimed_client_id"), &line["address"]),
        (None, &json!("0.0.0.0"))
    );
}

/// Documents that every client asks for, too.
#[tokio::test]
async fn every_line_says_from_where() {
    let log = Log::start();
    let app =
        app_with(|settings| settings.server.trusted_proxies = vec!["0.0.0.0/32".parse().unwrap()]).await;
    person(
        &app,
        &app.add_client(doorward_store::ClientSource::Admin, &[REDIRECT])
            .await,
        "mcp:read",
    )
    .await;
    let headers = [("x-forwarded-for", "203.0.113.1, 2001:db8::7")];
    for path in [
        "/.well-known/oauth-authorization-server",
        "/nowhere",
        "/oauth/jwks",
    ] {
        for _ in 0..2 {
            app.browser().get_with(path, &headers).await;
            assert_eq!(log.request()["address"], "2001:db8::7", "{path}");
        }
    }
}
