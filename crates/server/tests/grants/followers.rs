//! Followers of the feed that sign assertions, and change while they connect.

use std::time::Duration;

use axum::body::Body;
use doorward_jose::Algorithm;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::machine::{JWT_BEARER, admin, app, assertion, assertion_claims, key, machine};

/// Answers one request with this document. What is to happen `before` that happens while somebody waits for it.
async fn answer_once(listener: TcpListener, document: &Value, before: impl Future<Output = ()>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4096];
    assert_ne!(stream.read(&mut request).await.unwrap(), 0);
    before.await;
    let body = document.to_string();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// Its keys are asked for when the server has read who it is, and it hears of the feed when they are there.
#[tokio::test]
async fn who_is_disabled_removed_or_given_other_keys_while_it_connects_hears_nothing() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let keys = json!({"keys": [key.public_jwk()]});
    for (method, change) in [
        ("PATCH", json!({"disabled": true})),
        ("PATCH", json!({"jwks": keys})),
        ("DELETE", Value::Null),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_uri = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let client = machine(&app, json!({"jwks_uri": jwks_uri, "resource_server": "mcp"})).await;
        let signed = assertion(&key, &assertion_claims(&app, &client.client_id));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_assertion_type", JWT_BEARER)
            .append_pair("client_assertion", &signed)
            .finish();
        let request = Request::post("/events/revocations")
            .header(header::HOST, "localhost:9000")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        let path = format!("/admin/clients/{}", client.client_id);
        let changes = async {
            let reply = admin(&app, method, &path, change.clone()).await;
            assert!(reply.status.is_success(), "{reply:?}");
        };
        let (answer, ()) = tokio::join!(
            app.public.clone().oneshot(request),
            answer_once(listener, &keys, changes)
        );
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{method} {change}");
        // One that goes on has a heartbeat in it before that.
        let heard = tokio::time::timeout(Duration::from_secs(30), answer.into_body().collect()).await;
        let heard = heard.expect("the connection has to end").unwrap().to_bytes();
        assert_eq!(&heard[..], b"retry: 1000\n\n", "{method} {change}");
    }
}
