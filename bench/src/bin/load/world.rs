//! What a server under load offers, and what requests to it are made of.

use std::net::SocketAddr;
use std::time::Duration;

use doorward_oauth::pkce::CodeChallenge;
use http::HeaderValue;

use crate::http::{Answer, encode};
use crate::pool::Pool;

pub use crate::pages::{Cookies, text};

pub const RESOURCE: &str = "https://mcp.example.com/mcp";
pub const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";
/// Tokens and codes that are kept for later requests, at most.
const KEPT: usize = 20_000;
/// Codes live a minute, most places.
const CODES_ARE_GOOD_FOR: Duration = Duration::from_secs(45);
/// Access tokens live five minutes.
const ACCESS_TOKENS_ARE_GOOD_FOR: Duration = Duration::from_mins(4);
/// No run is that long.
const REFRESH_TOKENS_ARE_GOOD_FOR: Duration = Duration::from_hours(12);

/// A request that is always the same but for what is added to its form.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: &'static str,
    pub form: String,
    pub authorization: Option<HeaderValue>,
}

impl Call {
    pub fn new(path: &'static str, fields: &[(&str, &str)]) -> Self {
        Self {
            path,
            form: encode(fields),
            authorization: None,
        }
    }

    /// The form with these fields besides.
    pub fn with(&self, fields: &[(&str, &str)]) -> String {
        let mut form = self.form.clone();
        if !form.is_empty() {
            form.push('&');
        }
        form + &encode(fields)
    }
}

/// What a server offers: what is `None` it does not have.
#[derive(Default)]
pub struct Offers {
    /// Answers at once, for the connection to be set up.
    pub health: Option<&'static str>,
    pub metadata: Option<&'static str>,
    pub jwks: Option<&'static str>,
    /// The token endpoint, with what every request of the public client says.
    pub token: Option<Call>,
    /// An authorization request, complete.
    pub authorize: Option<String>,
    pub client_credentials: Option<Call>,
    /// Lacks the subject token.
    pub token_exchange: Option<Call>,
    /// Lacks the token.
    pub introspection: Option<Call>,
    /// Whether it remembers which tokens it signed lately.
    pub remembers_tokens: bool,
    /// A constant answer.
    pub constant: Option<&'static str>,
    /// A signature over a new token, and nothing else.
    pub sign: Option<Call>,
}

/// Everything that requests are made of.
pub struct World {
    pub address: SocketAddr,
    pub offers: Offers,
    /// The cookies of each signed-in browser, taken in turn.
    pub browsers: Pool<HeaderValue>,
    /// Codes that were not redeemed.
    pub codes: Pool<String>,
    /// Refresh tokens, the one that rested longest first.
    pub refresh_tokens: Pool<String>,
    /// Access tokens.
    pub access_tokens: Pool<String>,
}

impl World {
    pub fn new(address: SocketAddr, offers: Offers) -> Self {
        Self {
            address,
            offers,
            browsers: Pool::new(KEPT, REFRESH_TOKENS_ARE_GOOD_FOR),
            codes: Pool::new(KEPT, CODES_ARE_GOOD_FOR),
            refresh_tokens: Pool::new(KEPT, REFRESH_TOKENS_ARE_GOOD_FOR),
            access_tokens: Pool::new(KEPT, ACCESS_TOKENS_ARE_GOOD_FOR),
        }
    }
}

/// The form that redeems a code.
pub fn redemption(token: &Call, code: &str) -> String {
    token.with(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT_URI),
    ])
}

/// The form that uses a refresh token.
pub fn refresh(token: &Call, refresh_token: &str) -> String {
    token.with(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
}

/// The path and query of an authorization request.
pub fn authorization(path: &str, client_id: &str, scope: &str, resource: Option<&str>) -> String {
    let challenge = CodeChallenge::of_verifier(VERIFIER);
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("state", "af0ifjsldkj"),
        ("scope", scope),
    ];
    fields.extend(resource.map(|resource| ("resource", resource)));
    format!("{path}?{}", encode(&fields))
}

/// The code in a redirect to the client.
pub fn code_of(answer: &Answer) -> Option<String> {
    let (_, query) = answer.location()?.strip_prefix(REDIRECT_URI)?.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned())
}
