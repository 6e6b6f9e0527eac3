//! What clients and an identity provider sign.

use std::sync::atomic::{AtomicI64, Ordering};

use doorward_jose::{Algorithm, JoseError, SigningKey, base64url, sign};
use serde_json::{Value, json};

use crate::clock::true_time;

/// How long an assertion is good, in seconds: longer than a client goes on asking, and no longer than the server takes.
const LIFETIME: i64 = 280;
/// Who says who somebody is.
pub const PROVIDER: &str = "https://idp.example.com";

/// The keys of those who sign.
pub struct Keys {
    issuer: String,
    /// How far the nodes' clocks are ahead, in seconds: one and the other.
    offsets: [AtomicI64; 2],
    /// Of the client whose tokens are bound.
    bound: SigningKey,
    /// Of the client that signs assertions.
    pub agent: SigningKey,
    /// Of the identity provider.
    pub provider: SigningKey,
}

impl Keys {
    /// New ones.
    pub fn generate(issuer: String) -> Result<Self, JoseError> {
        let key = || SigningKey::generate(Algorithm::Es256);
        Ok(Self {
            issuer,
            offsets: Default::default(),
            bound: key()?,
            agent: key()?,
            provider: key()?,
        })
    }

    /// From now on, what is signed is signed at one of these times, each so many seconds ahead of the true one.
    pub fn sign_at(&self, one: i64, other: i64) {
        self.offsets[0].store(one, Ordering::Relaxed);
        self.offsets[1].store(other, Ordering::Relaxed);
    }

    /// A time, and how far it is ahead.
    fn time(&self) -> Result<(i64, i64), JoseError> {
        let mut either = [0; 1];
        doorward_jose::fill_random(&mut either)?;
        let offset = self.offsets[usize::from(either[0] % 2)].load(Ordering::Relaxed);
        Ok((true_time() + offset, offset))
    }

    /// A proof of possession for this endpoint (RFC 9449 §4.2), and how far ahead its time is.
    pub fn proof(&self, path: &str) -> Result<(String, i64), JoseError> {
        let (now, ahead) = self.time()?;
        let key = &self.bound;
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().as_str(), "jwk": key.public_jwk() });
        let claims = json!({
            "jti": name()?, "htm": "POST", "htu": format!("{}{path}", self.issuer), "iat": now,
        });
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = key.sign(input.as_bytes())?;
        Ok((format!("{input}.{}", base64url::encode(&signature)), ahead))
    }

    /// A client's assertion (RFC 7523 §2.2), and how far ahead its time is.
    pub fn assertion(&self, client_id: &str) -> Result<(String, i64), JoseError> {
        let (now, ahead) = self.time()?;
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.issuer, "jti": name()?, "iat": now, "exp": now + LIFETIME,
        });
        Ok((sign(&self.agent, "JWT", &claims)?, ahead))
    }

    /// An identity provider's word for a person, to this client for this resource (ID-JAG), and how far ahead its time is.
    pub fn id_jag(
        &self,
        provider: &str,
        client_id: &str,
        person: &str,
        resource: &str,
    ) -> Result<(String, i64), JoseError> {
        let (now, ahead) = self.time()?;
        let claims = json!({
            "iss": provider, "sub": person, "aud": self.issuer, "client_id": client_id, "jti": name()?, "iat": now,
            "exp": now + LIFETIME, "scope": "tools/read", "resource": resource,
        });
        Ok((sign(&self.provider, "oauth-id-jag+jwt", &claims)?, ahead))
    }
}

/// A `jti` that nobody else has.
fn name() -> Result<String, JoseError> {
    let mut bytes = [0; 16];
    doorward_jose::fill_random(&mut bytes)?;
    Ok(base64url::encode(&bytes))
}
