//! What signed-in people are refused: the answer to a question of ours, not what a link anywhere makes their browser ask.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Authorization, REDIRECT, RESOURCE, TestApp};
use crate::told::{admin, done, told, words};

/// The refusals, oldest first: what was asked for and why not.
async fn refused(app: &TestApp) -> Vec<[String; 2]> {
    let lines = told(app, "&action=request.refused").await;
    let subject = app.user.id.0.to_string();
    for line in &lines {
        let who = (&line["actor"], &line["actor_id"], &line["subject"]);
        assert_eq!(
            who,
            (&json!("person"), &json!(subject), &json!(subject)),
            "{line}"
        );
    }
    let words = ["target", "reason"].map(|member| words(&lines, member));
    let [targets, reasons] = words;
    targets
        .into_iter()
        .zip(reasons)
        .map(|(one, other)| [one, other])
        .collect()
}

fn rows(expected: &[[&str; 2]]) -> Vec<[String; 2]> {
    expected.iter().map(|row| row.map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_a_person_is_refused_who_decides_is_told_once_a_minute() {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    let page = browser
        .open(&Authorization::new(&client_id, REDIRECT).path())
        .await;
    let form = page.form("/consent");
    let allow = Some(("decision", "allow"));
    let forged = form.clone().set("csrf_token", "forged");
    for _ in 0..3 {
        let reply = browser.submit(&forged, allow).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    }
    let forged = ["POST /consent", "access_denied"];
    assert_eq!(refused(&app).await, rows(&[forged]));
    assert_eq!(browser.submit(&form, allow).await.status, StatusCode::SEE_OTHER);
    // Who is asked once more was not refused.
    let nothing = browser.submit(&form.clone().without("scope"), allow).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST, "{nothing:?}");
    assert_eq!(refused(&app).await, rows(&[forged]));
    let unknown = browser.submit(&form, Some(("decision", "perhaps"))).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{unknown:?}");
    let unknown = ["POST /consent", "invalid_request"];
    assert_eq!(refused(&app).await, rows(&[forged, unknown]));
}

/// Another site can send a signed-in browser here with whatever it likes.
#[tokio::test]
async fn what_others_make_a_browser_ask_costs_no_row() {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    let request = Authorization::new(&client_id, REDIRECT);
    let form = browser.open(&request.path()).await.form("/consent");
    let elsewhere = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let reply = browser
        .submit_with(&form, Some(("decision", "allow")), &elsewhere)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    let link = request.set("redirect_uri", "https://evil.example/cb");
    browser.get(&link.path()).await.assert_error_page();
    browser.get("/consent?request=x").await.assert_error_page();
    assert_eq!(refused(&app).await, rows(&[]));
}

/// What was allowed before is allowed again without a question, and once for a request. Whoever has such a request can send the
/// browser there again.
#[tokio::test]
async fn a_request_that_was_answered_from_memory_already_costs_no_row() {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client_id, REDIRECT);
    let pushed = app.browser().post("/oauth/par", &[], request.encoded()).await;
    let request_uri = done(&pushed)["request_uri"].as_str().unwrap().to_owned();
    let pushed = Authorization::of(&[("client_id", &client_id), ("request_uri", &request_uri)]);
    let browser = app.signed_in().await;
    let reply = app.approve(&browser, &pushed).await;
    done(&app.redeem(&client_id, &reply).await);
    let again = browser.get(&pushed.path()).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    assert_eq!(refused(&app).await, rows(&[]));
}

/// A form that was answered can be posted as often as somebody likes.
#[tokio::test]
async fn a_form_that_comes_again_is_told_once_a_minute_and_in_one_row() {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    let page = browser
        .open(&Authorization::new(&client_id, REDIRECT).path())
        .await;
    let (form, allow) = (page.form("/consent"), Some(("decision", "allow")));
    let reply = browser.submit(&form, allow).await;
    done(&app.redeem(&client_id, &reply).await);
    for _ in 0..5 {
        let late = browser.submit(&form, allow).await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{late:?}");
    }
    let lines = told(&app, "&outcome=refused").await;
    assert_eq!(words(&lines, "action"), ["grant.approved"], "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["reason"], "already_redeemed");
    let who = (
        &line["actor"],
        &line["subject"],
        &line["client_id"],
        &line["resource"],
    );
    let subject = json!(app.user.id.0.to_string());
    assert_eq!(
        who,
        (&json!("person"), &subject, &json!(client_id), &json!(RESOURCE))
    );
    app.wait(60);
    browser.submit(&form, allow).await;
    assert_eq!(told(&app, "&outcome=refused").await.len(), 2);
}

#[tokio::test]
async fn a_device_that_cannot_be_connected_is_told() {
    let app = TestApp::with_admin_key().await;
    let metadata = json!({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]});
    app.add_client_with("tv", ClientSource::Admin, metadata).await;
    let form = [("client_id", "tv"), ("resource", RESOURCE)];
    let device = app
        .browser()
        .post_pairs("/oauth/device_authorization", &[], &form)
        .await;
    let code = done(&device)["user_code"].as_str().unwrap().to_owned();
    done(&admin(&app, "DELETE", "/admin/resources/mcp", Value::Null).await);
    let (browser, stranger) = (app.signed_in().await, app.browser());
    for browser in [&stranger, &browser] {
        let form = browser.open("/device").await.form("/device");
        let reply = browser.submit(&form.set("user_code", &code), None).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
    assert_eq!(refused(&app).await, rows(&[["POST /device", "invalid_target"]]));
}
