//! What counts once, while the clock leaps past its end: at each of the moments at which the server looks at the clock.

use std::time::Duration;

use doorward_jose::Algorithm;
use serde_json::{Value, json};

use crate::machine::{
    TOKEN, access_token, app, assertion, assertion_claims, fresh, key, machine, own_by_assertion, person,
    proof, signing_machine,
};
use crate::support::{Authorization, REDIRECT, Reply, TestApp};
use crate::trusted::{desktop, provider, show};

/// Past the end of everything here.
const FAR: Duration = Duration::from_mins(10);

/// Sends it as long as there are moments at which the clock could leap meanwhile; how many there were.
async fn at_each_look(app: &TestApp, send: impl AsyncFn() -> Reply, mut look_at: impl FnMut(Reply)) -> u32 {
    let now = app.context.now();
    for readings in 0.. {
        app.clock.leap_after(readings, FAR);
        let reply = send().await;
        let is_over = app.clock.has_yet_to_leap();
        app.clock.set(now);
        look_at(reply);
        if is_over {
            return readings;
        }
    }
    unreachable!("a request looks at the clock a few times")
}

/// It was accepted, and is not again, however the clock leaps.
async fn counts_no_more(app: &TestApp, errors: &[&str], send: impl AsyncFn() -> Reply) {
    let looks = at_each_look(app, send, |reply| {
        let error = reply.json()["error"].clone();
        assert!(errors.iter().any(|expected| error == **expected), "{reply:?}");
    });
    assert!(
        looks.await > 1,
        "it was not looked at, and at the clock, before it was refused"
    );
}

#[tokio::test]
async fn a_used_assertion_of_a_client_stays_used() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    let used = assertion(&key, &assertion_claims(&app, &machine.client_id));
    access_token(&own_by_assertion(&app, &used, &[]).await);
    counts_no_more(&app, &["invalid_client"], async || {
        own_by_assertion(&app, &used, &[]).await
    })
    .await;
}

#[tokio::test]
async fn a_used_proof_stays_used() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let used = proof(&app, &key(Algorithm::Es256));
    let headers = [("dpop", &*used)];
    access_token(&machine.own(&app, &headers).await);
    counts_no_more(&app, &["invalid_dpop_proof"], async || {
        machine.own(&app, &headers).await
    })
    .await;
}

#[tokio::test]
async fn a_used_word_of_an_identity_provider_stays_used() {
    let app = app().await;
    let idp = provider(&app, json!({"single_use": true})).await;
    let client = desktop(&app).await;
    let used = idp.jag(&app, &client, json!({}));
    access_token(&show(&app, &client, &used, &[]).await);
    counts_no_more(&app, &["invalid_grant"], async || {
        show(&app, &client, &used, &[]).await
    })
    .await;
}

/// An old refresh token with its proof is refused for the proof. It does not come so far as to end the grant.
#[tokio::test]
async fn a_refresh_that_is_sent_again_with_its_proof_does_not_end_the_grant() {
    let app = app().await;
    let client = machine(
        &app,
        json!({"token_endpoint_auth_method": "none", "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"]}),
    )
    .await;
    let key = key(Algorithm::Es256);
    let mut token = text(
        &person(&app, &client.client_id, "mcp:read").await,
        "refresh_token",
    );
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push((token.clone(), proof(&app, &key)));
        let (token_before, proof) = &sent[sent.len() - 1];
        let reply = refresh(&app, &client.client_id, token_before, proof).await;
        access_token(&reply);
        token = text(&reply.json(), "refresh_token");
    }
    let (oldest, its_proof) = &sent[0];
    let again = async || refresh(&app, &client.client_id, oldest, its_proof).await;
    counts_no_more(&app, &["invalid_dpop_proof"], again).await;
    access_token(&refresh(&app, &client.client_id, &token, &proof(&app, &key)).await);
}

async fn refresh(app: &TestApp, client_id: &str, token: &str, proof: &str) -> Reply {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", client_id),
        ("refresh_token", token),
    ];
    app.browser().post_pairs(TOKEN, &[("dpop", proof)], &form).await
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pushed_request_that_was_opened_stays_so() {
    let app = app().await;
    let client = json!({"client_name": fresh("Web"), "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code"], "token_endpoint_auth_method": "client_secret_post"});
    let client = machine(&app, client).await;
    let request = Authorization::new(&client.client_id, REDIRECT)
        .set("client_secret", client.secret.as_deref().unwrap());
    let pushed = app.browser().post("/oauth/par", &[], request.encoded()).await;
    let request_uri = text(&pushed.json(), "request_uri");
    let path = Authorization::of(&[("client_id", &client.client_id), ("request_uri", &request_uri)]).path();
    assert!(app.browser().get(&path).await.status.is_redirection());
    let looks = at_each_look(
        &app,
        async || app.browser().get(&path).await,
        |reply| {
            assert_eq!(reply.status, 400, "{reply:?}");
        },
    );
    assert!(looks.await > 0, "it was not looked at");
}
