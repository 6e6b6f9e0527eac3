//! A public key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{Digest, SHA256},
    signature::ParsedPublicKey,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Algorithm, JoseError, json, material::Material};

/// The largest single JWK document that is read, in bytes.
const MAX_JWK_BYTES: usize = 16 * 1024;
/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2); `priv` is the one of newer key types.
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A validated public key. It can only verify with the algorithms of its own type, and serialises public members alone.
///
/// Cloning is cheap. Two keys are equal when all their published members are.
#[derive(Clone)]
pub struct Jwk(Arc<Inner>);

struct Inner {
    members: Members,
    thumbprint: String,
    /// One parsed key for each algorithm that the key may be used with: this list is what makes confusion impossible.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

/// The members that are kept and published again.
#[derive(PartialEq, Eq, Serialize)]
struct Members {
    #[serde(flatten)]
    material: Material,
    #[serde(rename = "kid", skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    public_key_use: Option<String>,
    #[serde(rename = "key_ops", skip_serializing_if = "Option::is_none")]
    key_operations: Option<Vec<String>>,
    #[serde(rename = "alg", skip_serializing_if = "Option::is_none")]
    algorithm: Option<Algorithm>,
}

impl Jwk {
    /// Reads one public key, at most 16 KiB of strict JSON.
    ///
    /// Certificates (`x5u`, `x5c`, `x5t`) and unknown members are ignored.
    ///
    /// # Errors
    /// [`JoseError::PrivateKey`] for private or symmetric members, [`JoseError::UnusableKey`] or
    /// [`JoseError::WeakKey`] for a key that must not be used, [`JoseError::UnsupportedAlgorithm`] or
    /// [`JoseError::AlgorithmMismatch`] for its `alg`, and the errors of [`json::from_slice`].
    pub fn from_json(document: &[u8]) -> Result<Self, JoseError> {
        if document.len() > MAX_JWK_BYTES {
            return Err(JoseError::TooLarge);
        }
        Self::from_members(&json::object(document)?)
    }

    /// As [`Jwk::from_json`], for JSON that is parsed already (duplicate members are then no longer visible).
    pub fn from_value(value: &Value) -> Result<Self, JoseError> {
        Self::from_members(value.as_object().ok_or(JoseError::Malformed)?)
    }

    /// Reads one public key in PEM form (RFC 7468), at most 16 KiB: `PUBLIC KEY` with RSA, P-256, P-384 (uncompressed) or
    /// Ed25519, or `RSA PUBLIC KEY`. The key has no `kid`, `use` or `alg`: it verifies with every algorithm of its type.
    ///
    /// # Errors
    /// [`JoseError::Malformed`] for anything but one PEM block, [`JoseError::PrivateKey`] for a private key,
    /// [`JoseError::UnusableKey`] or [`JoseError::WeakKey`] for a key that must not be used, and for a certificate.
    pub fn from_pem(text: &str) -> Result<Self, JoseError> {
        Self::build(Members {
            material: Material::from_pem(text)?,
            key_id: None,
            public_key_use: None,
            key_operations: None,
            algorithm: None,
        })
    }

    /// The key as a `PUBLIC KEY` block (RFC 7468 §13), without `kid`, `use` and `alg`.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the key cannot be written.
    pub fn to_pem(&self) -> Result<String, JoseError> {
        self.0.members.material.to_pem()
    }

    fn from_members(object: &Map<String, Value>) -> Result<Self, JoseError> {
        if SECRET_MEMBERS.iter().any(|name| object.contains_key(*name)) {
            return Err(JoseError::PrivateKey);
        }
        let algorithm = match optional_string(object, "alg")? {
            Some(name) => Some(name.parse().map_err(|_| JoseError::UnsupportedAlgorithm)?),
            None => None,
        };
        Self::build(Members {
            material: Material::read(object)?,
            key_id: optional_string(object, "kid")?.map(str::to_owned),
            public_key_use: optional_string(object, "use")?.map(str::to_owned),
            key_operations: key_operations(object)?,
            algorithm,
        })
    }

    /// The public half of a signing key: `kid` is the thumbprint, `use` is `sig`.
    pub(crate) fn of_signing_key(material: Material, algorithm: Algorithm) -> Result<Self, JoseError> {
        let key_id = material.thumbprint();
        Self::build(Members {
            material,
            key_id: Some(key_id),
            public_key_use: Some("sig".to_owned()),
            key_operations: None,
            algorithm: Some(algorithm),
        })
    }

    fn build(members: Members) -> Result<Self, JoseError> {
        let verifiers = members.material.verifiers(members.algorithm)?;
        Ok(Self(Arc::new(Inner {
            thumbprint: members.material.thumbprint(),
            members,
            verifiers,
        })))
    }

    /// The SHA-256 thumbprint of RFC 7638, base64url.
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// The `kid` member.
    pub fn key_id(&self) -> Option<&str> {
        self.0.members.key_id.as_deref()
    }

    /// The `alg` member: when present, the only algorithm that the key verifies.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.0.members.algorithm
    }

    /// Whether `use` and `key_ops` allow verifying: each may be absent, or must name it.
    pub fn is_for_verification(&self) -> bool {
        let members = &self.0.members;
        members
            .public_key_use
            .as_deref()
            .is_none_or(|value| value == "sig")
            && members
                .key_operations
                .as_ref()
                .is_none_or(|values| values.iter().any(|value| value == "verify"))
    }

    /// Whether [`Jwk::verify`] can succeed with `algorithm`: type, curve, `alg`, `use` and `key_ops` all allow it.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.is_for_verification() && self.0.verifiers.iter().any(|(fitting, _)| *fitting == algorithm)
    }

    /// Verifies a signature. ECDSA signatures are the fixed-length `r || s` of RFC 7518 §3.4.
    ///
    /// # Errors
    /// [`JoseError::AlgorithmMismatch`], [`JoseError::NotForVerification`], [`JoseError::BadSignature`].
    pub fn verify(
        &self,
        algorithm: Algorithm,
        signing_input: &[u8],
        signature: &[u8],
    ) -> Result<(), JoseError> {
        self.verifier(algorithm)?
            .verify_sig(signing_input, signature)
            .map_err(|_| JoseError::BadSignature)
    }

    /// The same, where the SHA-256 of the signing input is known.
    pub(crate) fn verify_digest(
        &self,
        algorithm: Algorithm,
        signing_input: &[u8; 32],
        signature: &[u8],
    ) -> Result<(), JoseError> {
        let digest = Digest::import_less_safe(signing_input, &SHA256).map_err(|_| JoseError::BadSignature)?;
        self.verifier(algorithm)?
            .verify_digest_sig(&digest, signature)
            .map_err(|_| JoseError::BadSignature)
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<&ParsedPublicKey, JoseError> {
        if !self.is_for_verification() {
            return Err(JoseError::NotForVerification);
        }
        let verifiers = &self.0.verifiers;
        let fitting = verifiers.iter().find(|(fitting, _)| *fitting == algorithm);
        fitting.map(|(_, key)| key).ok_or(JoseError::AlgorithmMismatch)
    }
}

impl PartialEq for Jwk {
    fn eq(&self, other: &Self) -> bool {
        self.0.members == other.0.members
    }
}

impl Eq for Jwk {}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("key_id", &self.key_id())
            .field("algorithm", &self.algorithm())
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.members.serialize(serializer)
    }
}

pub(crate) fn optional_string<'o>(
    object: &'o Map<String, Value>,
    name: &str,
) -> Result<Option<&'o str>, JoseError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JoseError::Malformed),
    }
}

/// RFC 7517 §4.3: an array of strings without repetitions.
fn key_operations(object: &Map<String, Value>) -> Result<Option<Vec<String>>, JoseError> {
    let Some(value) = object.get("key_ops") else {
        return Ok(None);
    };
    let mut operations = Vec::new();
    for item in value.as_array().ok_or(JoseError::Malformed)? {
        let operation = item.as_str().ok_or(JoseError::Malformed)?;
        // Eight operations are registered; more than sixteen is no key.
        if operations.len() == 16 || operations.iter().any(|known| known == operation) {
            return Err(JoseError::Malformed);
        }
        operations.push(operation.to_owned());
    }
    Ok(Some(operations))
}
