//! Demonstrating proof of possession (RFC 9449): is this proof good for this request?
//!
//! A proof is a JWT that the client signs for one request with the key that its access token is bound to. The rules
//! here are pure: they say whether a proof fits, and what to remember so that it counts once. Who remembers it, and where
//! the nonces' keys live, is up to the program.
//!
//! ```
//! use doorward_oauth::dpop::{ProofContext, ProofError, ProofRules, TargetUri};
//! use doorward_oauth::time::UnixSeconds;
//!
//! // The example of RFC 9449 §4.1.
//! let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa\
//!     0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.\
//!     eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox\
//!     NTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
//! let uri = TargetUri::parse("https://server.example.com/token").unwrap();
//! let request = ProofContext { method: "POST", uri: &uri, access_token: None, nonces: None };
//! let rules = ProofRules::default();
//!
//! let good = rules.verify(proof, &request, UnixSeconds(1_562_262_620)).unwrap();
//! assert_eq!(good.key_thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
//! assert_eq!(rules.verify(proof, &request, UnixSeconds(1_562_263_000)), Err(ProofError::Stale));
//! ```

mod content;
mod nonce;
mod target;

use std::borrow::Cow;
use std::time::Duration;

use doorward_jose::json::{self, Refused};
use doorward_jose::{Algorithm, HeaderMemo, JoseError, Jws, base64url};
use serde_json::Value;

use crate::claims::numeric_date;
use crate::error::ErrorCode;
use crate::time::UnixSeconds;

pub use nonce::{NONCE_LIFETIME, NonceAge, NonceError, NonceKey, Nonces};
pub use target::{NotAnHttpUri, TargetUri};

/// The `typ` header of a proof (RFC 9449 §4.2).
pub const TYP: &str = "dpop+jwt";
/// The longest `jti` that is taken, in bytes.
pub const MAX_JTI_BYTES: usize = 256;

/// Why a proof does not count. For logs and metrics; the client gets a fixed sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not one compact JWS of at most 16 KiB with a strict header (RFC 9449 §4.3, check 2).
    #[error("the proof is not one well-formed JWT")]
    Malformed,
    /// `typ` is not `dpop+jwt` (check 4).
    #[error("the proof's typ is not dpop+jwt")]
    Type,
    /// `alg` is `none`, symmetric, unknown or not allowed here (check 5).
    #[error("the proof's alg is not allowed")]
    Algorithm,
    /// No `jwk` header (check 3).
    #[error("the proof has no jwk header")]
    NoKey,
    /// `jwk` has private or symmetric members (check 7).
    #[error("the proof's jwk is not a public key")]
    PrivateKey,
    /// `jwk` is no key, a weak one, or one for another `alg` or use.
    #[error("the proof's jwk cannot be used")]
    Key,
    /// The signature is not the key's (check 6).
    #[error("the proof's signature is not valid")]
    Signature,
    /// A required claim is missing, or a claim has the wrong type (check 3).
    #[error("the proof's claims are not complete")]
    Claims,
    /// `jti` is empty, longer than [`MAX_JTI_BYTES`] or has control characters.
    #[error("the proof's jti is not usable")]
    Jti,
    /// `htm` is another method (check 8).
    #[error("the proof is for another method")]
    Method,
    /// `htu` is another URI (check 9).
    #[error("the proof is for another URI")]
    Uri,
    /// `iat` lies too far in the past, or `exp` has passed (check 11).
    #[error("the proof is too old")]
    Stale,
    /// `iat` or `nbf` lies too far in the future (check 11).
    #[error("the proof is from the future")]
    FromTheFuture,
    /// `ath` is missing or belongs to another access token (check 12 a).
    #[error("the proof is for another access token")]
    AccessToken,
    /// `content_digest` is of another body, is missing where it is required, or cannot be read. See
    /// [`Proof::check_content`].
    #[error("the proof is for another body")]
    Content,
    /// The nonce is not one that the server gave out lately (check 10). Everything else is good.
    #[error("the proof's nonce {0}")]
    Nonce(NonceError),
}

impl ProofError {
    /// What the client is told: `use_dpop_nonce` if a nonce is all that is wrong (RFC 9449 §8, §9), else
    /// `invalid_dpop_proof`.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Nonce(_) => ErrorCode::UseDpopNonce,
            _ => ErrorCode::InvalidDpopProof,
        }
    }

    fn of_parsing(error: JoseError) -> Self {
        match error {
            JoseError::UnsupportedAlgorithm => Self::Algorithm,
            JoseError::PrivateKey => Self::PrivateKey,
            JoseError::UnusableKey | JoseError::WeakKey | JoseError::AlgorithmMismatch => Self::Key,
            _ => Self::Malformed,
        }
    }
}

/// What a server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRules {
    /// Signature algorithms. Default: [`ProofRules::ALGORITHMS`].
    pub algorithms: Vec<Algorithm>,
    /// How old a proof may be, whole seconds. Default: 300 s, as the `DPoP` profile of MCP wants it.
    pub max_age: Duration,
    /// How far clocks may be apart: a proof may be this far ahead (RFC 9449 §11.1). Default: 60 s.
    pub max_ahead: Duration,
}

impl ProofRules {
    /// The default algorithms, in the order in which they are published.
    pub const ALGORITHMS: [Algorithm; 4] = [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Ps256,
    ];
}

impl Default for ProofRules {
    fn default() -> Self {
        Self {
            algorithms: Self::ALGORITHMS.to_vec(),
            max_age: Duration::from_mins(5),
            max_ahead: Duration::from_mins(1),
        }
    }
}

/// The request that a proof must have been made for.
#[derive(Clone, Copy, Debug)]
pub struct ProofContext<'a> {
    /// The HTTP method, as sent.
    pub method: &'a str,
    /// The URI, from the server's own configuration: `Host` and forwarding headers are the client's word.
    pub uri: &'a TargetUri,
    /// The access token beside the proof. `None` at a token endpoint, where `ath` does not count.
    pub access_token: Option<&'a str>,
    /// Where the proof needs a nonce: whose.
    pub nonces: Option<&'a Nonces>,
}

/// A proof that fits its request. Still to do: compare the key with the one that the token is bound to, and remember
/// [`replay_id`](Self::replay_id) until [`acceptable_until`](Self::acceptable_until).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    key_thumbprint: String,
    jti: String,
    issued_at: UnixSeconds,
    acceptable_until: UnixSeconds,
    nonce_age: Option<NonceAge>,
    content_digest: Option<String>,
}

impl Proof {
    /// `jkt`: the RFC 7638 SHA-256 thumbprint of the key.
    pub fn key_thumbprint(&self) -> &str {
        &self.key_thumbprint
    }

    /// `jti`
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// `iat`
    pub const fn issued_at(&self) -> UnixSeconds {
        self.issued_at
    }

    /// From this second on the proof is too old to count again.
    pub const fn acceptable_until(&self) -> UnixSeconds {
        self.acceptable_until
    }

    /// How old the nonce is, where one was needed.
    pub const fn nonce_age(&self) -> Option<NonceAge> {
        self.nonce_age
    }

    /// Names the proof among all proofs: key and `jti`, as a digest (RFC 9449 §11.1). The signature is no part of it, because
    /// ECDSA signatures have twins; the key is, so that nobody can use up the `jti` of somebody else.
    pub fn replay_id(&self) -> [u8; 32] {
        // A thumbprint has one length, so the two cannot be cut differently.
        let mut text = Vec::with_capacity(self.key_thumbprint.len() + self.jti.len());
        text.extend_from_slice(self.key_thumbprint.as_bytes());
        text.extend_from_slice(self.jti.as_bytes());
        doorward_jose::sha256(&text)
    }
}

/// RFC 9449 §4.2. Unknown claims are ignored.
struct ProofClaims<'p> {
    jti: Cow<'p, str>,
    htm: Cow<'p, str>,
    htu: Cow<'p, str>,
    iat: UnixSeconds,
    nbf: Option<UnixSeconds>,
    exp: Option<UnixSeconds>,
    ath: Option<Cow<'p, str>>,
    nonce: Option<Cow<'p, str>>,
    content_digest: Option<Cow<'p, str>>,
}

impl<'p> ProofClaims<'p> {
    fn read(payload: &'p [u8]) -> Result<Self, ProofError> {
        let date = |value: Value| numeric_date(value).map(Some).map_err(|_| Refused);
        let (mut jti, mut htm, mut htu, mut iat) = (None, None, None, None);
        let (mut nbf, mut exp, mut ath, mut nonce, mut content_digest) = (None, None, None, None, None);
        json::members(payload, |name, value| {
            match name {
                "jti" => jti = Some(value.string()?),
                "htm" => htm = Some(value.string()?),
                "htu" => htu = Some(value.string()?),
                "iat" => iat = date(value.any()?)?,
                "nbf" => nbf = date(value.any()?)?,
                "exp" => exp = date(value.any()?)?,
                "ath" => ath = Some(value.string()?),
                "nonce" => nonce = Some(value.string()?),
                "content_digest" => content_digest = Some(value.string()?),
                _ => value.skip()?,
            }
            Ok(())
        })
        .map_err(|_| ProofError::Claims)?;
        Ok(Self {
            jti: jti.ok_or(ProofError::Claims)?,
            htm: htm.ok_or(ProofError::Claims)?,
            htu: htu.ok_or(ProofError::Claims)?,
            iat: iat.ok_or(ProofError::Claims)?,
            nbf,
            exp,
            ath,
            nonce,
            content_digest,
        })
    }
}

impl ProofRules {
    /// Checks a proof, the value of the one `DPoP` header of a request (RFC 9449 §4.3).
    ///
    /// # Errors
    /// The first rule that the proof breaks. The nonce comes last, so that a client is only sent for one when the rest of
    /// its proof is good.
    pub fn verify(
        &self,
        proof: &str,
        request: &ProofContext<'_>,
        now: UnixSeconds,
    ) -> Result<Proof, ProofError> {
        let jws = Jws::parse_with_embedded_key(proof).map_err(ProofError::of_parsing)?;
        self.check(&jws, request, now)
    }

    /// As [`verify`](Self::verify), for a server that remembers the headers of good proofs, and with them the keys: reading a
    /// key takes some microseconds.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_with_memo(
        &self,
        proof: &str,
        request: &ProofContext<'_>,
        now: UnixSeconds,
        headers: &HeaderMemo,
    ) -> Result<Proof, ProofError> {
        let jws = Jws::parse_with_embedded_key_and_memo(proof, headers).map_err(ProofError::of_parsing)?;
        let proof = self.check(&jws, request, now)?;
        headers.remember(&jws);
        Ok(proof)
    }

    fn check(
        &self,
        jws: &Jws<'_>,
        request: &ProofContext<'_>,
        now: UnixSeconds,
    ) -> Result<Proof, ProofError> {
        let header = jws.header();
        if header.typ.as_deref() != Some(TYP) {
            return Err(ProofError::Type);
        }
        if !self.algorithms.contains(&header.algorithm) {
            return Err(ProofError::Algorithm);
        }
        let key = header.jwk.as_ref().ok_or(ProofError::NoKey)?;
        jws.verify_signature(key).map_err(|error| match error {
            JoseError::BadSignature => ProofError::Signature,
            _ => ProofError::Key,
        })?;
        // Verified above.
        let claims = ProofClaims::read(jws.unverified_payload())?;
        check_jti(&claims.jti)?;
        check_request(&claims, request)?;
        self.check_time(&claims, now)?;
        let nonce_age = match request.nonces {
            Some(nonces) => Some(
                nonces
                    .check(claims.nonce.as_deref(), now)
                    .map_err(ProofError::Nonce)?,
            ),
            None => None,
        };
        Ok(Proof {
            key_thumbprint: key.thumbprint().to_owned(),
            jti: claims.jti.into_owned(),
            issued_at: claims.iat,
            acceptable_until: claims.iat + self.max_age + Duration::from_secs(1),
            nonce_age,
            content_digest: claims.content_digest.map(Cow::into_owned),
        })
    }

    fn check_time(&self, claims: &ProofClaims<'_>, now: UnixSeconds) -> Result<(), ProofError> {
        // A proof need have neither `exp` nor `nbf`; one that has them means them (RFC 7519 §4.1.4, §4.1.5).
        let expired = claims.exp.is_some_and(|exp| now >= exp + self.max_ahead);
        if now > claims.iat + self.max_age || expired {
            return Err(ProofError::Stale);
        }
        let latest = now + self.max_ahead;
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(ProofError::FromTheFuture);
        }
        Ok(())
    }
}

fn check_jti(jti: &str) -> Result<(), ProofError> {
    if jti.is_empty() || jti.len() > MAX_JTI_BYTES || jti.contains(char::is_control) {
        Err(ProofError::Jti)
    } else {
        Ok(())
    }
}

fn check_request(claims: &ProofClaims<'_>, request: &ProofContext<'_>) -> Result<(), ProofError> {
    // Methods are case-sensitive (RFC 9110 §9.1).
    if claims.htm != request.method {
        return Err(ProofError::Method);
    }
    if !request.uri.is(&claims.htu) {
        return Err(ProofError::Uri);
    }
    match request.access_token {
        Some(token) if claims.ath.as_deref() != Some(&*access_token_hash(token)) => {
            Err(ProofError::AccessToken)
        }
        _ => Ok(()),
    }
}

/// `ath`: what a proof says about the access token beside it (RFC 9449 §4.2).
pub fn access_token_hash(access_token: &str) -> String {
    base64url::encode(&doorward_jose::sha256(access_token.as_bytes()))
}
