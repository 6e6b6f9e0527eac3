//! How the client authenticates.

use std::sync::Arc;

use doorward_guard::client::{ClientAuth, ClientBuildError, ClientError, OAuthClient};
use doorward_jose::{Algorithm, JoseError, Jws, Signature, Signer, SigningKey};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use wiremock::ResponseTemplate;

use crate::client::support::{Server, form, own, token, value};

/// Row 47, RFC 6749 §2.3.1: percent-encoded before it is base64.
#[tokio::test]
async fn basic_credentials_are_percent_encoded() {
    let server = Server::start().await;
    server.issues(&token("t", 300)).await;
    let auth = ClientAuth::basic("https://app.example/c", "p:w %+\u{e9}");
    own(&server.builder().auth(auth).build().unwrap()).await.unwrap();
    let request = &server.posts().await[0];
    // base64 of `https%3A%2F%2Fapp.example%2Fc:p%3Aw+%25%2B%C3%A9`
    assert_eq!(
        request.headers["authorization"],
        "Basic aHR0cHMlM0ElMkYlMkZhcHAuZXhhbXBsZSUyRmM6cCUzQXcrJTI1JTJCJUMzJUE5"
    );
    let form = form(request);
    assert_eq!(value(&form, "client_id"), None);
    assert_eq!(value(&form, "client_secret"), None);
}

#[tokio::test]
async fn posted_credentials_are_in_the_form_alone() {
    let server = Server::start().await;
    server.issues(&token("t", 300)).await;
    let auth = ClientAuth::post("app", "p&w=");
    own(&server.builder().auth(auth).build().unwrap()).await.unwrap();
    let request = &server.posts().await[0];
    assert!(!request.headers.contains_key("authorization"));
    let form = form(request);
    assert_eq!(value(&form, "client_id"), Some("app"));
    assert_eq!(value(&form, "client_secret"), Some("p&w="));
}

/// RFC 7523 §3, and MCP's client credentials extension: the issuer is the audience.
#[tokio::test]
async fn an_assertion_is_made_for_one_request_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let server = Server::start().await;
        server.issues(&token("t", 0)).await;
        let key = Arc::new(SigningKey::generate(algorithm).unwrap());
        let auth = ClientAuth::private_key_jwt("app", key.clone());
        let client = server.builder().auth(auth).build().unwrap();
        own(&client).await.unwrap();
        own(&client).await.unwrap();
        let mut ids = Vec::new();
        for request in server.posts().await {
            assert!(!request.headers.contains_key("authorization"));
            let form = form(&request);
            assert_eq!(
                value(&form, "client_assertion_type"),
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            );
            assert_eq!(value(&form, "client_id"), Some("app"));
            let assertion = Jws::parse(value(&form, "client_assertion").unwrap()).unwrap();
            assert_eq!(assertion.header().algorithm, algorithm);
            let claims: Value = assertion.verify(key.public_jwk()).unwrap().claims().unwrap();
            assert_eq!(claims["iss"], "app");
            assert_eq!(claims["sub"], "app");
            assert_eq!(claims["aud"], json!(server.issuer()));
            assert_eq!(claims["iat"], 1_800_000_000);
            assert_eq!(claims["exp"], 1_800_000_060);
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1], "{algorithm}");
    }
}

/// A key that stays where it is: whoever keeps it is asked over a channel.
struct Remote {
    key_id: String,
    requests: mpsc::Sender<(Vec<u8>, oneshot::Sender<Vec<u8>>)>,
}

impl Signer for Remote {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn sign<'s>(&'s self, signing_input: &'s [u8]) -> Signature<'s> {
        Signature::Later(Box::pin(async move {
            let (tell, told) = oneshot::channel();
            let sent = self.requests.send((signing_input.to_vec(), tell)).await;
            sent.map_err(|_| JoseError::SigningFailed)?;
            told.await.map_err(|_| JoseError::SigningFailed)
        }))
    }
}

#[tokio::test]
async fn a_key_that_stays_in_a_key_service_signs_assertions() {
    let server = Server::start().await;
    server.issues(&token("t", 0)).await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let public = key.public_jwk().clone();
    let (requests, mut asked) = mpsc::channel::<(Vec<u8>, oneshot::Sender<Vec<u8>>)>(1);
    let key_id = key.key_id().to_owned();
    let auth = ClientAuth::private_key_jwt("app", Arc::new(Remote { key_id, requests }));
    let client = server.builder().auth(auth).build().unwrap();
    let service = tokio::spawn(async move {
        let (input, tell) = asked.recv().await.unwrap();
        tell.send(key.sign(&input).unwrap()).unwrap();
        // The second request gets no answer, and those after it nobody.
        asked.recv().await.unwrap();
    });
    own(&client).await.unwrap();
    let posts = server.posts().await;
    let form = form(&posts[0]);
    let assertion = Jws::parse(value(&form, "client_assertion").unwrap()).unwrap();
    let claims: Value = assertion.verify(&public).unwrap().claims().unwrap();
    assert_eq!(claims["iss"], "app");

    for _ in 0..2 {
        let refused = own(&client).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::Signing(JoseError::SigningFailed)),
            "{refused:?}"
        );
    }
    assert_eq!(
        server.posts().await.len(),
        1,
        "nothing is sent without an assertion"
    );
    service.await.unwrap();
}

#[tokio::test]
async fn a_public_client_names_itself_and_an_unnamed_one_sends_nothing() {
    let server = Server::start().await;
    server
        .on(
            "/introspect",
            ResponseTemplate::new(200).set_body_json(json!({"active": true})),
        )
        .await;
    let public = server.builder().auth(ClientAuth::public("app")).build().unwrap();
    public.introspect("x").await.unwrap();
    let unnamed = OAuthClient::builder(server.issuer()).build().unwrap();
    unnamed.introspect("x").await.unwrap();
    let requests = server.posts().await;
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
    assert_eq!(value(&form(&requests[0]), "client_id"), Some("app"));
    assert_eq!(value(&form(&requests[1]), "client_id"), None);
}

#[test]
fn mistakes_are_told_when_the_client_is_built() {
    let build = |auth| OAuthClient::builder("https://as.example").auth(auth).build();
    for auth in [
        ClientAuth::basic("", "s"),
        ClientAuth::basic("a", ""),
        ClientAuth::post("a", ""),
        ClientAuth::public(""),
    ] {
        assert!(matches!(build(auth), Err(ClientBuildError::Credentials)));
    }
    for issuer in ["", "as.example", "http://as.example", "https://as.example/#x"] {
        let outcome = OAuthClient::builder(issuer).build();
        assert!(
            matches!(outcome, Err(ClientBuildError::Issuer { .. })),
            "{issuer}"
        );
    }
    let seconds = std::time::Duration::from_secs;
    for (outages, cooldown) in [(0, seconds(30)), (5, seconds(0)), (5, seconds(301))] {
        let builder = OAuthClient::builder("https://as.example").circuit_breaker(outages, cooldown);
        assert!(matches!(builder.build(), Err(ClientBuildError::Breaker)));
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let server = Server::start().await;
    server
        .on(
            "/token",
            ResponseTemplate::new(401).set_body_json(json!({"error": "invalid_client"})),
        )
        .await;
    for auth in [
        ClientAuth::basic("app", "canary"),
        ClientAuth::post("app", "canary"),
    ] {
        assert!(!format!("{auth:?}").contains("canary"));
        let client = server.builder().auth(auth).build().unwrap();
        assert!(!format!("{client:?}").contains("canary"));
        let error = own(&client).await.unwrap_err();
        assert!(matches!(error, ClientError::InvalidClient(_)));
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
}
