//! Proofs of possession that the client sends (RFC 9449 §4), and the nonces that servers want in them (§8, §9).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_jose::{Jwk, SigningKey, base64url};
use doorward_oauth::dpop::{TYP, access_token_hash};
use doorward_oauth::time::UnixSeconds;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::error::ClientError;
use super::lru::Lru;
use super::random;

/// The request header with the proof.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The response header with the nonce.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Servers whose nonce is remembered.
const MAX_NONCES: usize = 128;
/// Longer nonces are not remembered, in bytes.
const MAX_NONCE: usize = 1024;

/// The key that tokens are bound to, and the newest nonce of every server.
pub(crate) struct Proofs {
    key: Arc<SigningKey>,
    nonces: Mutex<Lru<String, String>>,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    jwk: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: &'a str,
    iat: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

impl Proofs {
    pub(crate) fn new(key: Arc<SigningKey>) -> Self {
        Self {
            key,
            nonces: Mutex::new(Lru::new(MAX_NONCES)),
        }
    }

    /// A proof for one request; `access_token` is the token that goes with it.
    pub(crate) fn prove(
        &self,
        method: &str,
        url: &str,
        access_token: Option<&str>,
        now: UnixSeconds,
    ) -> Result<HeaderValue, ClientError> {
        let mut target = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            .ok_or(ClientError::Request(
                "a DPoP proof needs an absolute http or https URL",
            ))?;
        let nonce = self.nonces().get(&target.origin().ascii_serialization()).cloned();
        target.set_query(None);
        target.set_fragment(None);
        let claims = Claims {
            jti: random::id()?,
            htm: method,
            htu: target.as_str(),
            iat: now,
            nonce,
            ath: access_token.map(access_token_hash),
        };
        let header = Header {
            typ: TYP,
            alg: self.key.algorithm().as_str(),
            jwk: &key_members(self.key.public_jwk()),
        };
        let proof = self.sign(&header, &claims).map_err(ClientError::Signing)?;
        HeaderValue::try_from(proof)
            .map_err(|_| ClientError::Request("the DPoP proof does not fit into a header"))
    }

    fn sign(&self, header: &Header<'_>, claims: &Claims<'_>) -> Result<String, doorward_jose::JoseError> {
        let part = |json: Result<Vec<u8>, _>| {
            json.map(|json| base64url::encode(&json))
                .map_err(|_: serde_json::Error| doorward_jose::JoseError::Malformed)
        };
        let mut proof = part(serde_json::to_vec(header))?;
        proof.push('.');
        proof.push_str(&part(serde_json::to_vec(claims))?);
        let signature = self.key.sign(proof.as_bytes())?;
        proof.push('.');
        proof.push_str(&base64url::encode(&signature));
        Ok(proof)
    }

    /// Remembers the nonce of an answer from `url` for the next proof. Whether there was a new one.
    pub(crate) fn remember(&self, url: &str, headers: &HeaderMap) -> bool {
        let Ok(url) = Url::parse(url) else {
            return false;
        };
        let Some(nonce) = nonce(headers) else {
            return false;
        };
        let (origin, mut nonces) = (url.origin().ascii_serialization(), self.nonces());
        let is_new = nonces.get(&origin).is_none_or(|known| known != nonce);
        nonces.insert(origin, nonce.to_owned());
        is_new
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, Lru<String, String>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proofs").field(&self.key).finish()
    }
}

/// The one `DPoP-Nonce`, if it is one (RFC 9449 §8.1: `1*NQCHAR`).
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(DPOP_NONCE).iter();
    let nonce = values.next()?.to_str().ok()?;
    let is_nonce = !nonce.is_empty()
        && nonce.len() <= MAX_NONCE
        && nonce
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    (is_nonce && values.next().is_none()).then_some(nonce)
}

/// What makes the key (RFC 7638 §3.2), without names and notes.
fn key_members(key: &Jwk) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(key) else {
        return Map::new();
    };
    members.retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y" | "n" | "e"));
    members
}

#[cfg(test)]
mod tests {
    use doorward_jose::Algorithm;
    use doorward_oauth::dpop::{ProofContext, ProofRules, TargetUri};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn headers(values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (DPOP_NONCE, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_proof_with_every_algorithm_passes_the_servers_check() {
        let rules = ProofRules {
            algorithms: Algorithm::ALL.to_vec(),
            ..ProofRules::default()
        };
        for algorithm in Algorithm::ALL {
            let key = Arc::new(SigningKey::generate(algorithm).unwrap());
            let proofs = Proofs::new(key.clone());
            let proof = proofs
                .prove("GET", "HTTPS://API.example:443/a%2Fb/?q=1#f", Some("token"), NOW)
                .unwrap();
            let request = ProofContext {
                method: "GET",
                uri: &TargetUri::parse("https://api.example/a%2Fb/").unwrap(),
                access_token: Some("token"),
                nonces: None,
            };
            let proof = rules.verify(proof.to_str().unwrap(), &request, NOW).unwrap();
            assert_eq!(
                proof.key_thumbprint(),
                key.public_jwk().thumbprint(),
                "{algorithm}"
            );
        }
    }

    fn claims(proof: &HeaderValue) -> Value {
        let body = proof.to_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&base64url::decode(body).unwrap()).unwrap()
    }

    #[test]
    fn every_proof_has_its_own_jti_and_no_unasked_claims() {
        let proofs = Proofs::new(Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap()));
        let prove = || {
            claims(
                &proofs
                    .prove("POST", "https://as.example/token", None, NOW)
                    .unwrap(),
            )
        };
        let (first, second) = (prove(), prove());
        assert_ne!(first["jti"], second["jti"]);
        assert!(first.get("nonce").is_none() && first.get("ath").is_none());
        for url in ["/token", "mailto:a@b.example", "", "ftp://a.example/"] {
            assert!(
                matches!(proofs.prove("GET", url, None, NOW), Err(ClientError::Request(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn a_nonce_belongs_to_its_origin() {
        let proofs = Proofs::new(Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap()));
        assert!(proofs.remember("https://as.example/token", &headers(&["n-1"])));
        assert!(!proofs.remember("https://as.example/revoke", &headers(&["n-1"])));
        assert!(proofs.remember("https://as.example:8443/token", &headers(&["n-2"])));
        let nonce = |url| claims(&proofs.prove("POST", url, None, NOW).unwrap())["nonce"].clone();
        assert_eq!(nonce("https://as.example/introspect"), "n-1");
        assert_eq!(nonce("https://as.example:8443/x"), "n-2");
        assert_eq!(nonce("https://other.example/x"), Value::Null);
    }

    #[test]
    fn the_store_of_nonces_is_bounded() {
        let proofs = Proofs::new(Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap()));
        for number in 0..=MAX_NONCES {
            assert!(proofs.remember(&format!("https://h{number}.example/"), &headers(&["n"])));
        }
        let nonce = |url| claims(&proofs.prove("POST", url, None, NOW).unwrap())["nonce"].clone();
        assert_eq!(nonce("https://h0.example/"), Value::Null);
        assert_eq!(nonce("https://h1.example/"), "n");
    }

    #[test]
    fn what_is_no_nonce_is_not_remembered() {
        let proofs = Proofs::new(Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap()));
        for values in [&[][..], &[""], &["a b"], &["a\"b"], &["a\\b"], &["a", "b"]] {
            assert!(
                !proofs.remember("https://as.example/", &headers(values)),
                "{values:?}"
            );
        }
        let long: HeaderMap = [(
            DPOP_NONCE,
            HeaderValue::try_from("n".repeat(MAX_NONCE + 1)).unwrap(),
        )]
        .into_iter()
        .collect();
        assert!(!proofs.remember("https://as.example/", &long));
    }
}
