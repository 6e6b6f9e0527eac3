//! Token exchange (row 51), and what MCP clients are told when consent is missing (row 57).

use doorward_guard::client::{
    ACCESS_TOKEN_TYPE, BoundRequest, ClientError, ConsentRequired, ExchangeRequest, McpCall, OAuthClient,
    Principal, RequestStateError, RequestStateKey, TokenResponse, TokenType,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::client::support::{Server, form, text};

fn issued(token_type: &str) -> Value {
    json!({
        "access_token": "new", "token_type": "Bearer", "expires_in": 60, "issued_token_type": token_type,
    })
}

async fn sent(request: ExchangeRequest) -> Vec<(String, String)> {
    let server = Server::start().await;
    server.issues(&issued(ACCESS_TOKEN_TYPE)).await;
    server.client().exchange(&request).await.unwrap();
    form(&server.posts().await[0])
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A program's own tests make what the client would have given it.
#[test]
fn tokens_can_be_made_for_tests_and_missing_consent_is_an_error() {
    let token = TokenResponse::new("for-mail", TokenType::Bearer);
    let client = OAuthClient::builder("https://as.example").build().unwrap();
    let headers = client
        .headers_for(&token, "GET", "https://mail.example/inbox")
        .unwrap();
    assert_eq!(headers["authorization"], "Bearer for-mail");
    let consent: Box<dyn std::error::Error> = ConsentRequired::new("mail").into();
    assert!(consent.to_string().contains("mail"));
}

#[tokio::test]
async fn row_51_the_defaults_are_access_tokens() {
    assert_eq!(
        sent(ExchangeRequest::new("caller")).await,
        pairs(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "caller"),
            ("subject_token_type", ACCESS_TOKEN_TYPE),
        ])
    );
}

#[tokio::test]
async fn row_51_values_are_repeated_and_empty_ones_dropped() {
    let request = ExchangeRequest::new("caller")
        .subject_token_type("urn:ietf:params:oauth:token-type:jwt")
        .actor_token("me")
        .scopes(["a", "", "b"])
        .resource("https://x.example")
        .resource("")
        .resource("https://y.example")
        .audience("one")
        .audience("")
        .audience("two");
    assert_eq!(
        sent(request).await,
        pairs(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "caller"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("actor_token", "me"),
            ("actor_token_type", ACCESS_TOKEN_TYPE),
            ("scope", "a b"),
            ("resource", "https://x.example"),
            ("resource", "https://y.example"),
            ("audience", "one"),
            ("audience", "two"),
        ])
    );
}

#[tokio::test]
async fn row_51_an_actor_type_goes_with_an_actor_token_only() {
    let form = sent(ExchangeRequest::new("caller").actor_token_of_type("", "urn:x")).await;
    assert_eq!(form.len(), 3);
    let form = sent(ExchangeRequest::new("caller").actor_token_of_type("me", "urn:x")).await;
    assert_eq!(form[4], ("actor_token_type".to_owned(), "urn:x".to_owned()));
}

#[tokio::test]
async fn an_exchange_needs_a_subject_token() {
    let server = Server::start().await;
    let outcome = server.client().exchange(&ExchangeRequest::new("")).await;
    assert!(matches!(outcome, Err(ClientError::Request(_))));
    assert!(server.posts().await.is_empty());
}

#[tokio::test]
async fn row_51_the_issued_type_must_be_the_one_that_was_asked_for() {
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    for (asked, answer, fits) in [
        (None, issued(ACCESS_TOKEN_TYPE), true),
        (None, issued(jwt), false),
        (
            None,
            json!({"access_token": "new", "token_type": "Bearer"}),
            false,
        ),
        (Some(jwt), issued(jwt), true),
        (Some(jwt), issued(ACCESS_TOKEN_TYPE), false),
        (
            None,
            json!({"access_token": "new", "token_type": "N_A", "issued_token_type": ACCESS_TOKEN_TYPE}),
            false,
        ),
        (
            Some(jwt),
            json!({"access_token": "new", "token_type": "N_A", "issued_token_type": jwt}),
            true,
        ),
    ] {
        let server = Server::start().await;
        server.issues(&answer).await;
        let request = ExchangeRequest::new("caller");
        let request = match asked {
            Some(asked) => request.requested_token_type(asked),
            None => request,
        };
        let outcome = server.client().exchange(&request).await;
        assert_eq!(outcome.is_ok(), fits, "{asked:?} {answer}");
        if !fits {
            assert!(matches!(outcome, Err(ClientError::Protocol(_))));
        }
    }
}

#[tokio::test]
async fn a_token_that_is_none_for_access_does_not_become_a_header() {
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let server = Server::start().await;
    server
        .issues(&json!({"access_token": "new", "token_type": "N_A", "issued_token_type": jwt}))
        .await;
    let client = server.client();
    let request = ExchangeRequest::new("caller").requested_token_type(jwt);
    let token = client.exchange(&request).await.unwrap();
    assert_eq!(token.token_type, TokenType::NotApplicable);
    assert!(matches!(
        client.headers_for(&token, "GET", "https://x.example/"),
        Err(ClientError::Request(_))
    ));
}

/// What comes out belongs to one caller: it is asked for every time.
#[tokio::test]
async fn exchanged_tokens_are_not_kept() {
    let server = Server::start().await;
    server.issues(&issued(ACCESS_TOKEN_TYPE)).await;
    let client = server.client();
    for _ in 0..2 {
        let token = client.exchange(&ExchangeRequest::new("caller")).await.unwrap();
        assert_eq!(text(&token), "new");
    }
    assert_eq!(server.hits("/token").await, 2);
}

async fn refused(status: u16, body: Value) -> (OAuthClient, ClientError) {
    let server = Server::start().await;
    server
        .on("/token", ResponseTemplate::new(status).set_body_json(body))
        .await;
    let client = server
        .builder()
        .request_state_key(RequestStateKey::new([3; 32]))
        .build()
        .unwrap();
    let error = client
        .exchange(&ExchangeRequest::new("caller"))
        .await
        .unwrap_err();
    (client, error)
}

#[tokio::test]
async fn row_51_errors_have_types() {
    let error = |status, code: &'static str| async move { refused(status, json!({"error": code})).await.1 };
    assert!(matches!(
        error(400, "invalid_grant").await,
        ClientError::InvalidGrant(_)
    ));
    assert!(matches!(
        error(400, "access_denied").await,
        ClientError::AccessDenied(_)
    ));
    assert!(matches!(
        error(403, "access_denied").await,
        ClientError::AccessDenied(_)
    ));
    assert!(matches!(
        error(400, "invalid_target").await,
        ClientError::InvalidTarget(_)
    ));
    assert!(matches!(
        error(401, "invalid_client").await,
        ClientError::InvalidClient(_)
    ));
    assert!(matches!(
        error(400, "unauthorized_client").await,
        ClientError::UnauthorizedClient(_)
    ));
    assert!(matches!(
        error(500, "server_error").await,
        ClientError::Server { status: 500, .. }
    ));
    assert!(matches!(
        error(400, "consent_required").await,
        ClientError::ConsentRequired(_)
    ));
    assert!(matches!(
        error(400, "interaction_required").await,
        ClientError::ConsentRequired(_)
    ));
}

#[tokio::test]
async fn row_57_missing_consent_reaches_the_mcp_client_in_its_own_revision() {
    let (client, error) = refused(
        400,
        json!({
            "error": "consent_required",
            "error_description": "Connect your mail",
            "service_id": "mail",
            "cause": "not connected",
            "consent_url": "https://as.example/connect/mail",
        }),
    )
    .await;
    let ClientError::ConsentRequired(consent) = error else {
        panic!("{error:?}");
    };
    assert_eq!(consent.service, "mail");
    assert_eq!(consent.cause.as_deref(), Some("not connected"));
    assert_eq!(
        consent.consent_url.as_deref(),
        Some("https://as.example/connect/mail")
    );

    let alice = Principal {
        issuer: client.issuer().to_owned(),
        client_id: "app".to_owned(),
        subject: "alice".to_owned(),
    };
    let params = json!({"name": "inbox", "arguments": {}});
    let call = |version| McpCall {
        protocol_version: version,
        method: "tools/call",
        params: &params,
        principal: &alice,
        url_elicitation: Some(true),
    };
    let (member, old) = client
        .consent_answer(&consent, &call("2025-11-25"))
        .unwrap()
        .to_json();
    assert_eq!((member, &old["code"]), ("error", &json!(-32042)));
    assert_eq!(
        old["data"]["elicitations"][0]["url"],
        "https://as.example/connect/mail"
    );

    let (member, new) = client
        .consent_answer(&consent, &call("2026-07-28"))
        .unwrap()
        .to_json();
    assert_eq!((member, &new["resultType"]), ("result", &json!("input_required")));
    let state = new["requestState"].as_str().unwrap();
    let retry = json!({"name": "inbox", "arguments": {}, "requestState": state, "inputResponses": {}});
    let request = |principal, params| BoundRequest {
        principal,
        method: "tools/call",
        params,
    };
    assert_eq!(
        client
            .open_request_state(state, &request(&alice, &retry))
            .unwrap(),
        b"mail"
    );
    let mallory = Principal {
        subject: "mallory".to_owned(),
        ..alice.clone()
    };
    assert_eq!(
        client.open_request_state(state, &request(&mallory, &retry)),
        Err(RequestStateError::OtherPrincipal)
    );
    assert_eq!(
        client.open_request_state(state, &request(&alice, &json!({"name": "outbox"}))),
        Err(RequestStateError::OtherRequest)
    );
}
