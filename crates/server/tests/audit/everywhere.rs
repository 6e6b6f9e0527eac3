//! What holds for every line, and for every place in the source that changes something.

use std::fs;
use std::path::Path;

use doorward_server::config::DynamicRegistration;
use doorward_store::{AuditFilter, PageRequest};
use serde_json::{Value, json};

use crate::operations::{READS, SILENT, operations};
use crate::support::{ADMIN_KEY, Authorization, PASSWORD, REDIRECT, TestApp, VERIFIER};
use crate::told::{admin, done, told};

/// Nothing that opens a door is in the list, nor in what is stored of it.
#[tokio::test]
async fn no_secret_is_told() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.registration.dcr = DynamicRegistration::InitialAccessToken;
    })
    .await;
    let mut secrets = vec![
        PASSWORD.to_owned(),
        ADMIN_KEY.to_owned(),
        "another long password".to_owned(),
    ];
    let initial = done(&admin(&app, "POST", "/admin/initial-access-tokens", json!({"name": "t"})).await);
    let initial = initial["token"].as_str().unwrap().to_owned();
    let metadata = json!({"redirect_uris": [REDIRECT], "client_name": "C",
        "token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code", "refresh_token"]});
    let bearer = format!("Bearer {initial}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let client = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    let client = done(&client);
    let text = |member: &str| client[member].as_str().unwrap().to_owned();
    let (client_id, secret) = (text("client_id"), text("client_secret"));
    secrets.extend([initial, secret.clone(), text("registration_access_token")]);
    admin(
        &app,
        "PATCH",
        &format!("/admin/users/{}", app.user.id.0),
        json!({"password": "another long password"}),
    )
    .await;
    admin(
        &app,
        "PATCH",
        &format!("/admin/users/{}", app.user.id.0),
        json!({"password": PASSWORD}),
    )
    .await;
    let browser = app.signed_in().await;
    let reply = app
        .approve(&browser, &Authorization::new(&client_id, REDIRECT))
        .await;
    let code = reply.param("code").unwrap();
    let mut form = vec![("client_id", &*client_id), ("client_secret", &*secret)];
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    form.extend(redeem);
    let tokens = done(&app.token(&form).await);
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    let with_refresh = [
        ("client_id", &*client_id),
        ("client_secret", &*secret),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("scope", "mcp:write"),
    ];
    app.token(&with_refresh).await.assert_error("invalid_scope");
    app.token(&form).await.assert_error("invalid_grant");
    let revoke = [
        ("client_id", &*client_id),
        ("client_secret", &*secret),
        ("token", access),
    ];
    app.browser().post_pairs("/oauth/revoke", &[], &revoke).await;
    admin(&app, "POST", "/admin/keys/rotate", json!({"now": true})).await;
    let key = done(&admin(&app, "POST", "/admin/admin-keys", json!({"name": "ada"})).await);
    secrets.push(key["key"].as_str().unwrap().to_owned());
    secrets.extend([code, access.to_owned(), refresh.to_owned(), VERIFIER.to_owned()]);
    secrets.extend(browser.cookies().into_values());
    let lines = told(&app, "").await;
    assert!(lines.len() > 9, "{lines:?}");
    let stored = app
        .context
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    let all = format!("{} {stored:?}", Value::from(lines));
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!all.contains(secret.as_str()), "{secret}");
    }
}

/// Changes through a store that is in nobody's hands there, and why that is right: file, operation.
const BARE: &[(&str, &str, &str)] = &[
    (
        "authorization_server.rs",
        "serve_as",
        "on one's own machine the port may be another one at each start, which nobody has to be told",
    ),
    (
        "authorize/par.rs",
        "spend",
        "a request_uri that comes again is a stranger's until somebody signs in",
    ),
    (
        "clients/spending.rs",
        "spend",
        "an assertion that came again is asked for once more, in the client's hands",
    ),
    (
        "keys/reseal.rs",
        "reseal",
        "it is handed the store in the server's hands",
    ),
    (
        "keys/secrets.rs",
        "secret",
        "it is handed the store in the server's hands",
    ),
];

/// A handler that changes something through the bare store would leave no trace.
#[test]
fn every_change_in_the_source_names_who_makes_it() {
    let mut changes = operations();
    let untold = READS.iter().chain(SILENT.iter().map(|(name, _)| name));
    for name in untold {
        assert!(changes.remove(name), "{name}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![root.clone()];
    let (mut seen, mut bare) = (0, Vec::new());
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if file.contains("tests") {
            continue;
        }
        seen += 1;
        let mut text = fs::read_to_string(&path).unwrap();
        text.retain(|c| !c.is_whitespace());
        for change in &changes {
            let calls = text.matches(&format!("store.{change}(")).count();
            bare.extend((0..calls).map(|_| (file.clone(), *change)));
        }
    }
    assert!(seen > 50);
    bare.sort();
    let right: Vec<_> = BARE
        .iter()
        .map(|(file, change, _)| ((*file).to_owned(), *change))
        .collect();
    assert_eq!(bare, right);
}
