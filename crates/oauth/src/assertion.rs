//! Client assertions (RFC 7523 §2.2, §3): is this JWT the client's word that it is itself, here and now?
//!
//! The rules are pure. Who has the client's keys and who remembers a `jti` is up to the program.

use std::time::Duration;

use doorward_jose::{Algorithm, Jwk, Jws, sha256};
use serde::Deserialize;

use crate::claims::{Audience, numeric_date, optional_numeric_date, present};
use crate::time::UnixSeconds;

/// The value of `client_assertion_type` (RFC 7523 §2.2).
pub const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest `jti` that is taken, in bytes.
pub const MAX_JTI_BYTES: usize = 256;

/// Why an assertion does not count. For logs; whoever sent it learns only that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// `typ` names another kind of JWT.
    #[error("the assertion's typ is that of another kind of JWT")]
    Type,
    /// `alg` is not allowed here.
    #[error("the assertion's alg is not allowed")]
    Algorithm,
    /// The signature is not the key's.
    #[error("the assertion's signature is not valid")]
    Signature,
    /// A required claim is missing, or a claim has the wrong type.
    #[error("the assertion's claims are not complete")]
    Claims,
    /// `iss` or `sub` is not the client.
    #[error("the assertion's iss and sub are not both the client_id")]
    Client,
    /// `aud` is not this server alone.
    #[error("the assertion's aud is not this server alone")]
    Audience,
    /// `exp` has passed, or `iat` lies too far in the past.
    #[error("the assertion is too old")]
    Stale,
    /// `iat` or `nbf` lies too far in the future.
    #[error("the assertion is from the future")]
    FromTheFuture,
    /// `exp` lies further ahead than is allowed.
    #[error("the assertion would be good for too long")]
    TooLong,
    /// `jti` is empty, too long or has control characters.
    #[error("the assertion's jti is not usable")]
    Jti,
}

/// What a server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionRules {
    /// Signature algorithms. Default: [`AssertionRules::ALGORITHMS`].
    pub algorithms: Vec<Algorithm>,
    /// How far ahead `exp` may lie, and how far back `iat`. Default: 5 minutes.
    pub max_lifetime: Duration,
    /// How far clocks may be apart. `exp` gets nothing of it: a `jti` is remembered no longer. Default: 60 s.
    pub max_skew: Duration,
}

impl AssertionRules {
    /// The default algorithms, in the order in which they are published.
    pub const ALGORITHMS: [Algorithm; 5] = [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Es384,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ];
}

impl Default for AssertionRules {
    fn default() -> Self {
        Self {
            algorithms: Self::ALGORITHMS.to_vec(),
            max_lifetime: Duration::from_mins(5),
            max_skew: Duration::from_mins(1),
        }
    }
}

/// An assertion that holds. Still to do: remember [`replay_id`](Self::replay_id) until [`expires_at`](Self::expires_at).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    client_id: String,
    jti: String,
    issued_at: Option<UnixSeconds>,
    expires_at: UnixSeconds,
}

impl Assertion {
    /// `jti`
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// `exp`
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// Names the assertion among all assertions: client and `jti`, as a digest. The signature is no part of it, because
    /// ECDSA signatures have twins; the client is, so that nobody can use up the `jti` of somebody else.
    pub fn replay_id(&self) -> [u8; 32] {
        let length = self.client_id.len().to_string();
        sha256(
            [length.as_str(), ":", &self.client_id, &self.jti]
                .concat()
                .as_bytes(),
        )
    }
}

/// RFC 7523 §3. Unknown claims are ignored.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    jti: String,
    #[serde(deserialize_with = "numeric_date")]
    exp: UnixSeconds,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    iat: Option<UnixSeconds>,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    nbf: Option<UnixSeconds>,
}

/// What a client says of itself inside an assertion whose signature nobody has looked at.
#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
}

/// The client that an assertion claims to come from, not verified: for finding its keys, and for nothing else.
pub fn claimed_client_id(assertion: &str) -> Option<String> {
    let payload = assertion.split('.').nth(1)?;
    let payload = doorward_jose::base64url::decode(payload).ok()?;
    doorward_jose::json::from_slice::<Named>(&payload).ok()?.iss
}

impl AssertionRules {
    /// Checks an assertion of `client_id`, signed with `key`. `audiences`: the names of this server, of which the
    /// assertion has to give exactly one and nobody else's (RFC 7523 §3; one that two servers would take could be
    /// passed on by either).
    ///
    /// # Errors
    /// The first rule that the assertion breaks.
    pub fn verify(
        &self,
        assertion: &Jws<'_>,
        key: &Jwk,
        client_id: &str,
        audiences: &[&str],
        now: UnixSeconds,
    ) -> Result<Assertion, AssertionError> {
        let header = assertion.header();
        if !header.typ.as_deref().is_none_or(typ_is_assertion) {
            return Err(AssertionError::Type);
        }
        if !self.algorithms.contains(&header.algorithm) {
            return Err(AssertionError::Algorithm);
        }
        let verified = assertion.verify(key).map_err(|_| AssertionError::Signature)?;
        let claims: Claims = verified.claims().map_err(|_| AssertionError::Claims)?;
        if claims.iss != client_id || claims.sub != client_id {
            return Err(AssertionError::Client);
        }
        let mut named = claims.aud.iter();
        if !named.next().is_some_and(|aud| audiences.contains(&aud)) || named.next().is_some() {
            return Err(AssertionError::Audience);
        }
        self.check_time(&claims, now)?;
        if claims.jti.is_empty() || claims.jti.len() > MAX_JTI_BYTES || claims.jti.contains(char::is_control)
        {
            return Err(AssertionError::Jti);
        }
        Ok(Assertion {
            client_id: claims.iss,
            jti: claims.jti,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }

    /// When an assertion that holds was made, at the earliest: by its `iat` and a clock that is ahead, or as long before its
    /// `exp` as is allowed.
    pub fn made_at(&self, assertion: &Assertion) -> UnixSeconds {
        match assertion.issued_at {
            Some(iat) => iat - self.max_skew,
            None => assertion.expires_at - (self.max_lifetime + self.max_skew),
        }
    }

    fn check_time(&self, claims: &Claims, now: UnixSeconds) -> Result<(), AssertionError> {
        let begun_long_ago = claims
            .iat
            .is_some_and(|iat| iat + self.max_lifetime + self.max_skew < now);
        if now >= claims.exp || begun_long_ago {
            return Err(AssertionError::Stale);
        }
        if claims.exp > now + self.max_lifetime + self.max_skew {
            return Err(AssertionError::TooLong);
        }
        let latest = now + self.max_skew;
        if claims.iat.is_some_and(|iat| iat > latest) || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(AssertionError::FromTheFuture);
        }
        Ok(())
    }
}

/// Libraries write `JWT` or nothing; another explicit type belongs to another kind of JWT (RFC 8725 §3.11).
fn typ_is_assertion(typ: &str) -> bool {
    [
        "JWT",
        "client-authentication+jwt",
        "application/client-authentication+jwt",
    ]
    .iter()
    .any(|known| typ.eq_ignore_ascii_case(known))
}
