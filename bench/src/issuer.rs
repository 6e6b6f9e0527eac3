//! An issuer in memory, and the tokens that benchmarks check.

use std::sync::Arc;

use anyhow::anyhow;
use bytes::Bytes;
use doorward_guard::{Clock as _, Document, Fetch, FetchFailure, Guard, GuardBuilder, SystemClock};
use doorward_jose::{SigningKey, sign};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

/// The issuer of the tokens.
pub const ISSUER: &str = "https://auth.example.com";
/// The resource that they are for.
pub const RESOURCE: &str = "https://mcp.example.com/mcp";
/// Where the issuer's keys are.
pub const JWKS: &str = "https://auth.example.com/jwks.json";

/// A token as Doorward issues them, good for an hour; another number is another token.
///
/// # Errors
/// When the key cannot sign.
pub fn token(key: &SigningKey, number: usize) -> anyhow::Result<String> {
    sign_claims(key, &claims(number))
}

/// The same, bound to the key with this thumbprint (RFC 9449 §6.1).
///
/// # Errors
/// When the key cannot sign.
pub fn bound_token(key: &SigningKey, number: usize, thumbprint: &str) -> anyhow::Result<String> {
    let mut claims = claims(number);
    claims["cnf"] = json!({ "jkt": thumbprint });
    sign_claims(key, &claims)
}

fn claims(number: usize) -> Value {
    let now = SystemClock.now().seconds();
    json!({
        "iss": ISSUER, "sub": "5d0c3f0a-9c1e-4a0e-9d0a-6d1c2f3b4a5e", "aud": RESOURCE,
        "client_id": "dwc_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE", "scope": "tools/read tools/write",
        "jti": format!("0c1d2e3f-4a5b-4c6d-8e7f-{number:012x}"), "iat": now, "exp": now + 3600,
        "gid": "0190b8a4-5f3c-7c1e-8d2a-3b4c5d6e7f80", "auth_time": now, "amr": ["pwd"],
    })
}

fn sign_claims(key: &SigningKey, claims: &Value) -> anyhow::Result<String> {
    sign(key, "at+jwt", claims).map_err(|error| anyhow!("cannot sign: {error}"))
}

/// Begins a guard for [`RESOURCE`] whose issuer has this key set (RFC 7517 §5).
pub fn guard(jwks: &Value) -> GuardBuilder {
    Guard::builder(ISSUER, RESOURCE).fetch(Arc::new(Memory {
        keys: Bytes::from(jwks.to_string()),
    }))
}

/// The issuer's documents.
struct Memory {
    keys: Bytes,
}

impl Fetch for Memory {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let body = match url {
            JWKS => self.keys.clone(),
            _ => Bytes::from(json!({ "issuer": ISSUER, "jwks_uri": JWKS }).to_string()),
        };
        std::future::ready(Ok(Document::new(body))).boxed()
    }
}
