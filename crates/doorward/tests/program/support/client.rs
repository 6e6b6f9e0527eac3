//! An OAuth client.

use doorward_oauth::pkce::CodeChallenge;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{RESOURCE, Server, http};

/// Where every client is called back.
pub const REDIRECT_URI: &str = "http://127.0.0.1:33418/callback";
/// The `code_verifier` of every request.
pub const VERIFIER: &str = "MbJ6sVq2tYxW9cKfRzPdLhGnUeAoIi5C7E1B3v8X4w0";

/// A public client, registered.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub issuer: String,
    pub id: String,
}

/// What a token response holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Client {
    /// Registers a client of this name.
    pub async fn register(server: &Server, name: &str) -> Self {
        Self::register_with(http(), server, name).await
    }

    /// The same, through this HTTP client.
    pub async fn register_with(http: reqwest::Client, server: &Server, name: &str) -> Self {
        let metadata = json!({
            "client_name": name,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let request = http
            .post(format!("{}/oauth/register", server.issuer))
            .json(&metadata);
        let (status, answer) = send(request).await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let id = answer["client_id"].as_str().unwrap().to_owned();
        Self {
            http,
            issuer: server.issuer.clone(),
            id,
        }
    }

    /// The authorization URL.
    pub fn authorization_url(&self) -> String {
        let challenge = CodeChallenge::of_verifier(VERIFIER);
        let pairs = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("state", "a-state"),
            ("resource", RESOURCE),
            ("scope", "tools/read"),
        ];
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        format!("{}/oauth/authorize?{query}", self.issuer)
    }

    /// Posts to the token endpoint; an error means that there was no whole answer.
    pub async fn token(&self, form: &[(&str, &str)]) -> reqwest::Result<(StatusCode, Value)> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.id));
        send(self.http.post(format!("{}/oauth/token", self.issuer)).form(&form)).await
    }

    /// Redeems a code.
    pub async fn redeem(&self, code: &str) -> reqwest::Result<(StatusCode, Value)> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT_URI),
        ])
        .await
    }

    /// Redeems a refresh token.
    pub async fn refresh(&self, token: &str) -> reqwest::Result<(StatusCode, Value)> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }
}

impl Tokens {
    /// Of an answer that must be a success.
    #[track_caller]
    pub fn of((status, answer): (StatusCode, Value)) -> Self {
        assert_eq!(status, StatusCode::OK, "{answer}");
        let member = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self {
            access: member("access_token"),
            refresh: member("refresh_token"),
        }
    }
}

/// Status and JSON body.
pub async fn send(request: RequestBuilder) -> reqwest::Result<(StatusCode, Value)> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
