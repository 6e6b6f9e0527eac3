//! A public key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Algorithm, JoseError, base64url, json, rsa, sha256};

/// The largest single JWK document that is read, in bytes.
const MAX_JWK_BYTES: usize = 16 * 1024;
/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2); `priv` is the one of newer key types.
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
const RSA_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
];

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

/// The key itself, as canonical base64url text.
#[derive(PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
pub(crate) enum Material {
    #[serde(rename = "EC")]
    Ec { crv: Curve, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Curve {
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "P-384")]
    P384,
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
    pub(crate) fn of_signing_key(
        material: Material,
        algorithm: Algorithm,
    ) -> Result<Self, JoseError> {
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
        self.is_for_verification()
            && self
                .0
                .verifiers
                .iter()
                .any(|(fitting, _)| *fitting == algorithm)
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
        if !self.is_for_verification() {
            return Err(JoseError::NotForVerification);
        }
        let (_, key) = self
            .0
            .verifiers
            .iter()
            .find(|(fitting, _)| *fitting == algorithm)
            .ok_or(JoseError::AlgorithmMismatch)?;
        key.verify_sig(signing_input, signature)
            .map_err(|_| JoseError::BadSignature)
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

impl Curve {
    const fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }
}

impl Material {
    pub(crate) const ED25519: &str = "Ed25519";

    fn read(object: &Map<String, Value>) -> Result<Self, JoseError> {
        let member = |name| optional_string(object, name)?.ok_or(JoseError::Malformed);
        match member("kty")? {
            "EC" => {
                let crv = match member("crv")? {
                    "P-256" => Curve::P256,
                    "P-384" => Curve::P384,
                    _ => return Err(JoseError::UnusableKey),
                };
                Ok(Self::Ec {
                    crv,
                    x: member("x")?.to_owned(),
                    y: member("y")?.to_owned(),
                })
            }
            "OKP" if member("crv")? == Self::ED25519 => Ok(Self::Okp {
                crv: Self::ED25519,
                x: member("x")?.to_owned(),
            }),
            "RSA" => Ok(Self::Rsa {
                n: member("n")?.to_owned(),
                e: member("e")?.to_owned(),
            }),
            "oct" => Err(JoseError::PrivateKey),
            _ => Err(JoseError::UnusableKey),
        }
    }

    /// RFC 7638 §3.2 and RFC 8037 §2: the required members in lexicographic order. None of the values needs escaping.
    fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::Ec { crv, x, y } => {
                format!(
                    r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#,
                    crv.name()
                )
            }
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        base64url::encode(&sha256(canonical.as_bytes()))
    }

    /// Parses the key once for each algorithm it may be used with; `pinned` narrows them to one.
    fn verifiers(
        &self,
        pinned: Option<Algorithm>,
    ) -> Result<Vec<(Algorithm, ParsedPublicKey)>, JoseError> {
        let own: &[Algorithm] = match self {
            Self::Ec {
                crv: Curve::P256, ..
            } => &[Algorithm::Es256],
            Self::Ec {
                crv: Curve::P384, ..
            } => &[Algorithm::Es384],
            Self::Okp { .. } => &[Algorithm::EdDSA],
            Self::Rsa { .. } => &RSA_ALGORITHMS,
        };
        let usable = match &pinned {
            Some(algorithm) if !own.contains(algorithm) => {
                return Err(JoseError::AlgorithmMismatch);
            }
            Some(algorithm) => std::slice::from_ref(algorithm),
            None => own,
        };
        usable
            .iter()
            .map(|&algorithm| Ok((algorithm, self.verifier(algorithm)?)))
            .collect()
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, JoseError> {
        match self {
            Self::Ec { crv, x, y } => ec_verifier(*crv, x, y),
            Self::Okp { x, .. } => {
                let bytes = fixed(x, 32)?;
                ParsedPublicKey::new(&ED25519, bytes).map_err(|_| JoseError::UnusableKey)
            }
            Self::Rsa { n, e } => rsa_verifier(algorithm, n, e),
        }
    }
}

/// aws-lc refuses points that are not on the curve, which is what stops invalid-curve attacks.
fn ec_verifier(curve: Curve, x: &str, y: &str) -> Result<ParsedPublicKey, JoseError> {
    let algorithm: &'static dyn VerificationAlgorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED,
    };
    let mut point = vec![0x04]; // SEC 1 §2.3.3: uncompressed
    point.extend(fixed(x, curve.coordinate_bytes())?);
    point.extend(fixed(y, curve.coordinate_bytes())?);
    ParsedPublicKey::new(algorithm, point).map_err(|_| JoseError::UnusableKey)
}

fn rsa_verifier(algorithm: Algorithm, n: &str, e: &str) -> Result<ParsedPublicKey, JoseError> {
    let parameters = match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDSA => {
            return Err(JoseError::AlgorithmMismatch);
        }
    };
    let components = RsaPublicKeyComponents {
        n: base64url::decode(n)?,
        e: base64url::decode(e)?,
    };
    rsa::check_components(&components.n, &components.e)?;
    components
        .to_parsed_public_key(parameters)
        .map_err(|_| JoseError::UnusableKey)
}

/// Coordinates keep their leading zeros (RFC 7518 §6.2.1.2): any other length is not a coordinate of this curve.
fn fixed(text: &str, length: usize) -> Result<Vec<u8>, JoseError> {
    let bytes = base64url::decode(text)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(JoseError::UnusableKey)
    }
}

fn optional_string<'o>(
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
