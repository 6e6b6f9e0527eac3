//! Authorization requests, clients, and the way to a code.

use doorward_jose::base64url;
use doorward_oauth::client::{
    ClientMetadata, GrantType, RegistrationPolicy, TokenEndpointAuthMethod, consent_fingerprint, effective,
};
use doorward_oauth::pkce::CodeChallenge;
use doorward_store::{Client, ClientSource};
use serde_json::{Value, json};

use super::{Browser, EMAIL, RESOURCE, Reply, TestApp};

/// The redirect URI of clients for which nothing else matters.
pub const REDIRECT: &str = "https://client.example/cb";

/// The `code_verifier` of every request that does not say otherwise.
pub const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";

/// The S256 challenge of a verifier.
pub fn challenge_of(verifier: &str) -> String {
    CodeChallenge::of_verifier(verifier).as_str().to_owned()
}

/// The claims of the access token in a token response, without checking its signature.
#[track_caller]
pub fn claims(response: &Value) -> Value {
    let token = response["access_token"].as_str().expect("an access token");
    let payload = base64url::decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// An authorization request in the making.
#[derive(Debug, Clone)]
pub struct Authorization(Vec<(String, String)>);

impl Authorization {
    /// A request with everything in it: `state=xyz`, [`RESOURCE`], `mcp:read`.
    pub fn new(client_id: &str, redirect_uri: &str) -> Self {
        let challenge = challenge_of(VERIFIER);
        let pairs = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "xyz"),
            ("resource", RESOURCE),
            ("scope", "mcp:read"),
        ];
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        )
    }

    /// A request with these parameters and no others.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// With this value instead.
    #[must_use]
    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).add(name, value)
    }

    /// With one more value.
    #[must_use]
    pub fn add(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without the parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(field, _)| field != name);
        self
    }

    /// As a query string or form body.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }

    /// The path with its query.
    pub fn path(&self) -> String {
        format!("/oauth/authorize?{}", self.encoded())
    }
}

impl TestApp {
    /// Adds a public client of this source with these redirect URIs; returns its id.
    pub async fn add_client(&self, source: ClientSource, redirect_uris: &[&str]) -> String {
        let client_id = self.context.random.token("dwc_");
        let metadata = json!({
            "client_name": "Test client",
            "redirect_uris": redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"],
        });
        self.add_client_with(&client_id, source, metadata).await;
        client_id
    }

    /// Adds a client with this metadata, straight to the store.
    pub async fn add_client_with(&self, client_id: &str, source: ClientSource, metadata: Value) -> Client {
        let client = self.client(client_id, source, metadata);
        self.context.store.create_client(client.clone()).await.unwrap();
        client
    }

    /// Gives a client this metadata instead, straight in the store.
    pub async fn change_client(&self, client_id: &str, source: ClientSource, metadata: Value) {
        let client = self.client(client_id, source, metadata);
        self.context.store.update_client(client).await.unwrap();
    }

    /// A public client's record.
    pub fn client(&self, client_id: &str, source: ClientSource, metadata: Value) -> Client {
        let policy = RegistrationPolicy {
            default_auth_method: TokenEndpointAuthMethod::None,
            grant_types: vec![
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::DeviceCode,
            ],
            ..RegistrationPolicy::dynamic()
        };
        let metadata = effective(&ClientMetadata::from_value(metadata).unwrap(), &policy).unwrap();
        Client {
            client_id: client_id.to_owned(),
            source,
            fingerprint: consent_fingerprint(&metadata),
            metadata: serde_json::to_string(&metadata).unwrap(),
            secrets: Vec::new(),
            resource_server: None,
            registration_token: None,
            disabled: false,
            created_at: self.context.now(),
            updated_at: self.context.now(),
        }
    }

    /// Asks for a code as [`EMAIL`] and allows what is asked for; the reply that carries the code.
    pub async fn approve(&self, browser: &Browser, request: &Authorization) -> Reply {
        let mut page = browser.open(&request.path()).await;
        if page.body.contains("name=\"password\"") {
            page = browser.sign_in_on(&page, EMAIL).await;
        }
        browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await
    }

    /// Posts to the token endpoint.
    pub async fn token(&self, form: &[(&str, &str)]) -> Reply {
        self.browser().post_pairs("/oauth/token", &[], form).await
    }

    /// Redeems the code of a reply with [`VERIFIER`].
    pub async fn redeem(&self, client_id: &str, reply: &Reply) -> Reply {
        let code = reply
            .param("code")
            .unwrap_or_else(|| panic!("no code in {reply:?}"));
        self.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", client_id),
            ("code", &code),
            ("code_verifier", VERIFIER),
        ])
        .await
    }
}
