//! What is sent for introspection and revocation, and how answers are bounded (rows 47, 54, 55).

use std::sync::Arc;

use doorward_guard::client::{ClientAuth, ClientError};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::client::support::{Server, form, own, text, value};

#[tokio::test]
async fn row_47_introspection_sends_the_token_and_a_hint() {
    let server = Server::start().await;
    let answer = json!({"active": true, "sub": "alice", "aud": "https://mcp.example", "scope": "a"});
    server
        .on("/introspect", ResponseTemplate::new(200).set_body_json(answer))
        .await;
    let told = server.client().introspect("tok&en").await.unwrap();
    assert!(told.active);
    assert_eq!(told.subject.as_deref(), Some("alice"));
    assert_eq!(told.audience, ["https://mcp.example"]);
    let request = &server.posts().await[0];
    assert_eq!(
        form(request),
        [
            ("token".to_owned(), "tok&en".to_owned()),
            ("token_type_hint".to_owned(), "access_token".to_owned())
        ]
    );
    assert_eq!(request.headers["authorization"], "Basic YXBwOnNlY3JldA==");
    assert!(matches!(
        server.client().introspect("").await,
        Err(ClientError::Request(_))
    ));
}

#[tokio::test]
async fn row_54_a_revoked_token_is_not_handed_out_again() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    server.on("/revoke", ResponseTemplate::new(200)).await;
    let client = server.client();
    let first = own(&client).await.unwrap();
    assert_eq!(text(&own(&client).await.unwrap()), text(&first));
    client.revoke(text(&first)).await.unwrap();
    assert_eq!(text(&own(&client).await.unwrap()), "t-2");
    let posts = server.posts().await;
    assert_eq!(value(&form(&posts[1]), "token"), Some("t-1"));
    assert_eq!(value(&form(&posts[1]), "token_type_hint"), Some("access_token"));
}

#[tokio::test]
async fn row_54_a_revocation_that_fails_says_so_and_the_token_is_forgotten_all_the_same() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    server
        .on(
            "/revoke",
            ResponseTemplate::new(503).insert_header("retry-after", "7"),
        )
        .await;
    let client = server.client();
    own(&client).await.unwrap();
    let error = client.revoke("t-1").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Server { status: 503, .. }),
        "{error:?}"
    );
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
    server.clock.advance(std::time::Duration::from_secs(7));
    assert_eq!(text(&own(&client).await.unwrap()), "t-2");
}

#[tokio::test]
async fn row_54_any_200_is_a_revocation() {
    for body in ["", "<html>", "{}", "null"] {
        let server = Server::start().await;
        server
            .on("/revoke", ResponseTemplate::new(200).set_body_string(body))
            .await;
        server.client().revoke("x").await.unwrap();
    }
}

#[tokio::test]
async fn answers_are_bounded() {
    for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let server = Server::start().await;
        let mut body = r#"{"active":true,"x":""#.to_owned();
        body.push_str(&"x".repeat(length - body.len() - 2));
        body.push_str("\"}");
        assert_eq!(body.len(), length);
        server
            .on(
                "/introspect",
                ResponseTemplate::new(200).set_body_raw(body, "application/json"),
            )
            .await;
        let outcome = server.client().introspect("t").await;
        assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_with_the_secret() {
    let thief = Server::start().await;
    for status in [301, 302, 303, 307, 308] {
        let answer =
            ResponseTemplate::new(status).insert_header("location", format!("{}/token", thief.issuer()));
        let server = Server::start().await;
        server.on("/token", answer).await;
        let error = own(&server.client()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Transport(failure) if !failure.is_outage()),
            "{error:?}"
        );
    }
    assert_eq!(thief.posts().await.len(), 0);
}

/// Row 55: endpoints that the metadata puts at a private address are not reached.
#[tokio::test]
async fn row_55_private_addresses_are_not_reached() {
    for address in [
        "https://169.254.169.254/t",
        "https://10.0.0.1/t",
        "https://[::ffff:10.0.0.1]/t",
    ] {
        let server = Server {
            http: wiremock::MockServer::start().await,
            clock: crate::client::support::clock(),
        };
        server
            .metadata(&json!({"issuer": server.issuer(), "token_endpoint": address}))
            .await;
        let error = own(&server.client()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Transport(failure) if !failure.is_outage()),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_guard_has_its_client() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let guard = doorward_guard::Guard::builder(server.issuer(), "https://mcp.example/mcp")
        .client_auth(ClientAuth::basic("app", "secret"))
        .clock(Arc::new(server.clock.clone()))
        .build()
        .unwrap();
    assert_eq!(text(&own(guard.client()).await.unwrap()), "t-1");
    assert_eq!(guard.client().issuer(), server.issuer());
    let refused = doorward_guard::Guard::builder(server.issuer(), "https://mcp.example/mcp")
        .client_auth(ClientAuth::basic("app", ""))
        .build();
    assert!(refused.is_err());
}
