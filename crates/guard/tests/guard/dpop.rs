//! Tokens that are bound to a key of the client (RFC 9449).

mod content;
mod modes;
mod nonces;
#[cfg(feature = "postgres")]
mod postgres;
mod proofs;
mod replay;

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use doorward_guard::{Algorithm, DpopPolicy, GuardBuilder};
use doorward_jose::{SigningKey, base64url};
use doorward_oauth::dpop::access_token_hash;
use serde_json::{Value, json};

use crate::support::{Answer, RESOURCE, World, ping_message, post};

/// A world, and a client with a key of its own.
pub(crate) struct Bound {
    pub(crate) world: World,
    pub(crate) key: SigningKey,
    proofs: AtomicUsize,
}

impl Bound {
    pub(crate) fn new(policy: DpopPolicy) -> Self {
        Self::with(policy, |builder| builder)
    }

    pub(crate) fn with(policy: DpopPolicy, settings: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Self {
        Self {
            world: World::with(|builder| settings(builder.dpop(policy))),
            key: SigningKey::generate(Algorithm::Es256).unwrap(),
            proofs: AtomicUsize::new(0),
        }
    }

    /// A token for the client's key.
    pub(crate) fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    pub(crate) fn token_with(&self, changes: &Value) -> String {
        let mut changes = changes.clone();
        changes["cnf"] = json!({"jkt": self.key.public_jwk().thumbprint()});
        self.world.token_with(&changes)
    }

    /// The claims of a good proof for a POST of `token` to the resource, with some changed; `null` removes one.
    fn claims(&self, token: &str, changes: &Value) -> Value {
        let number = self.proofs.fetch_add(1, Ordering::SeqCst);
        let mut claims = json!({
            "jti": format!("proof-{number}"), "htm": "POST", "htu": RESOURCE, "iat": self.world.now(),
            "ath": access_token_hash(token),
        });
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            members.remove(name);
            if !value.is_null() {
                members.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    pub(crate) fn proof(&self, token: &str) -> String {
        self.proof_with(token, &json!({}))
    }

    pub(crate) fn proof_with(&self, token: &str, changes: &Value) -> String {
        sign_proof(&self.key, &self.claims(token, changes))
    }

    async fn send(&self, token: &str, proofs: &[&str], message: &Value) -> Answer {
        self.send_as("DPoP", token, proofs, message).await
    }

    async fn send_as(&self, scheme: &str, token: &str, proofs: &[&str], message: &Value) -> Answer {
        let mut request = post().header("authorization", format!("{scheme} {token}"));
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        self.world.send(request, Body::from(message.to_string())).await
    }

    /// A harmless message with the client's token and this proof.
    async fn ping(&self, token: &str, proof: &str) -> Answer {
        self.send(token, &[proof], &ping_message()).await
    }
}

fn sign_proof(key: &SigningKey, claims: &Value) -> String {
    let header = json!({"typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public_jwk()});
    sign_with_header(key, &header, claims)
}

fn sign_with_header(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| base64url::encode(part.to_string().as_bytes()));
    let signature = key.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    format!("{header}.{claims}.{}", base64url::encode(&signature))
}

impl Answer {
    fn challenges(&self) -> Vec<&str> {
        let values = self.headers.get_all("www-authenticate").iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// `401` with this error, under the scheme `DPoP` alone.
    fn is_bad_proof(&self, error: &str) -> bool {
        let prefix = format!(r#"DPoP error="{error}", algs="ES256 EdDSA RS256 PS256", error_description=""#);
        self.status == 401
            && self.json()["error"] == error
            && matches!(self.challenges().as_slice(), [challenge] if challenge.starts_with(&prefix))
    }
}
