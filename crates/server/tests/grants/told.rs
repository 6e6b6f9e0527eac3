//! What the log says of who asks at the token endpoint, and of what they get.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{TOKEN, app_with, machine, person};
use crate::support::log::Log;
use crate::support::{Authorization, EMAIL, PASSWORD, REDIRECT, RESOURCE, Reply, claims};
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

/// As by a client whose id and secret are mixed up, or by somebody who pasted the wrong thing.
#[tokio::test]
async fn a_secret_that_is_sent_as_client_id_is_named_and_not_shown() {
    let log = Log::start();
    let app = app_with(|_| {}).await;
    let known = machine(&app, json!({})).await;
    let secret = known.secret.as_deref().unwrap();
    let swapped = format!(
        "Basic {}",
        STANDARD.encode(format!("{secret}:{}", known.client_id))
    );
    for path in [TOKEN, "/oauth/introspect", "/oauth/revoke"] {
        let form = [("grant_type", "client_credentials"), ("token", "x")];
        let headers = [("authorization", &*swapped)];
        let refused = app.browser().post_pairs(path, &headers, &form).await;
        assert_eq!(refused.json()["error"], "invalid_client", "{refused:?}");
        let line = log.request();
        assert_eq!(
            line["claimed_client_id"], "dwsec_… (a secret was sent as client_id)",
            "{line}"
        );
        assert!(!line.to_string().contains(secret), "{line}");
    }
    for (sent, shown) in [
        ("dwr_canary", "dwr_… (a secret was sent as client_id)"),
        (
            "eyJhbGciOiJub25lIn0.canary.",
            "eyJ… (a secret was sent as client_id)",
        ),
        (
            "https://127.0.0.1:1/client?key=canary",
            "https://127.0.0.1:1/client",
        ),
    ] {
        app.token(&[("grant_type", "client_credentials"), ("client_id", sent)])
            .await;
        let line = log.request();
        assert_eq!(line["claimed_client_id"], shown, "{line}");
        assert!(!line.to_string().contains("canary"), "{line}");
        let request = Authorization::new(sent, REDIRECT);
        app.browser().get(&request.path()).await;
        let line = log.request();
        assert_eq!(line["claimed_client_id"], shown, "{line}");
        assert!(!line.to_string().contains("canary"), "{line}");
    }
}

/// Some MCP servers have a key in their address.
#[tokio::test]
async fn a_resource_that_is_not_there_is_told_without_its_query() {
    let log = Log::start();
    let app = app_with(|_| {}).await;
    let program = machine(&app, json!({})).await;
    let resource = "http://127.0.0.1:8080/mcp?api_key=canary";
    let form = [("grant_type", "client_credentials"), ("resource", resource)];
    program
        .token(&app, &form, &[])
        .await
        .assert_error("invalid_target");
    let line = log.request();
    assert_eq!(line["internal"], "requested \"http://127.0.0.1:8080/mcp\"");
    assert!(!line.to_string().contains("canary"), "{line}");
}

#[tokio::test]
async fn who_came_too_often_is_told_with_the_limit() {
    let log = Log::start();
    let of_one = Some("1/1h".parse().unwrap());
    for (limit, address, client) in [("token_address", of_one, None), ("token_client", None, of_one)] {
        let app = app_with(|settings| {
            let limits = &mut settings.rate_limit;
            limits.token_address = address.unwrap_or(limits.token_address);
            limits.token_client = client.unwrap_or(limits.token_client);
        })
        .await;
        let program = machine(&app, json!({})).await;
        program.own(&app, &[]).await;
        let refused = program.own(&app, &[]).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(!refused.body.contains(limit), "{refused:?}");
        let reason = format!("more than rate_limit.{limit} allows");
        assert_eq!(log.request()["internal"], reason);
    }
}

#[tokio::test]
async fn what_people_and_thieves_do_is_told_with_its_request_and_from_where() {
    let log = Log::start();
    let app =
        app_with(|settings| settings.server.trusted_proxies = vec!["0.0.0.0/32".parse().unwrap()]).await;
    let client = app
        .add_client(doorward_store::ClientSource::Admin, &[REDIRECT])
        .await;
    let request = Authorization::new(&client, REDIRECT);
    // The line of the request that this did, and what else it says.
    let check = |message: &str| {
        let lines = log.lines();
        let told = lines.iter().find(|line| line["message"] == message);
        let told = told.unwrap_or_else(|| panic!("{message} is not in {lines:?}"));
        let id = &told["request_id"];
        let of_request = |line: &&Value| line["target"] == "doorward::request" && line["request_id"] == *id;
        let line = lines.iter().find(of_request).unwrap();
        assert_eq!(told["address"], line["address"], "{told}");
    };
    let browser = app.browser();
    browser.sign_in("/login", EMAIL, "a wrong password").await;
    check("a sign-in was refused");
    browser.sign_in("/login", EMAIL, PASSWORD).await;
    check("signed in");
    let page = browser.open(&request.path()).await;
    browser
        .submit(&page.form("/consent"), Some(("decision", "deny")))
        .await;
    check("denied");
    let request = request.set("scope", "mcp:read offline_access");
    let allowed = app.approve(&browser, &request).await;
    check("authorized");
    let first = app.redeem(&client, &allowed).await.json();
    app.redeem(&client, &allowed).await.assert_error("invalid_grant");
    check("a code was replayed; its grant has been ended");
    assert!(first["access_token"].is_string());

    let request = request.set("prompt", "consent");
    let allowed = app.approve(&app.browser(), &request).await;
    let first = app.redeem(&client, &allowed).await.json();
    let old = first["refresh_token"].as_str().unwrap().to_owned();
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", &*old),
    ];
    let second = app.token(&refresh).await.json();
    let newer = second["refresh_token"].as_str().unwrap().to_owned();
    app.token(&[refresh[0], refresh[1], ("refresh_token", &newer)])
        .await;
    app.wait(3600);
    app.token(&refresh).await.assert_error("invalid_grant");
    check("an old refresh token came back; its grant has been ended");
}
