//! What a public key is made of, and the parsed keys that come out of it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Algorithm, JoseError, base64url, jwk::optional_string, rsa, sha256};

const RSA_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
];

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

    pub(crate) fn read(object: &Map<String, Value>) -> Result<Self, JoseError> {
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
    pub(crate) fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::Ec { crv, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#, crv.name())
            }
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        base64url::encode(&sha256(canonical.as_bytes()))
    }

    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Ec { crv: Curve::P256, .. } => &[Algorithm::Es256],
            Self::Ec { crv: Curve::P384, .. } => &[Algorithm::Es384],
            Self::Okp { .. } => &[Algorithm::EdDsa],
            Self::Rsa { .. } => &RSA_ALGORITHMS,
        }
    }

    /// Parses the key once for each algorithm it may be used with; `pinned` (the `alg` member) narrows them to one.
    pub(crate) fn verifiers(
        &self,
        pinned: Option<Algorithm>,
    ) -> Result<Vec<(Algorithm, ParsedPublicKey)>, JoseError> {
        let algorithms = match &pinned {
            None => self.algorithms(),
            Some(algorithm) if self.algorithms().contains(algorithm) => std::slice::from_ref(algorithm),
            Some(_) => return Err(JoseError::AlgorithmMismatch),
        };
        match self {
            Self::Ec { crv, x, y } => parse_for(algorithms, |_| ec_key(*crv, x, y)),
            Self::Okp { x, .. } => parse_for(algorithms, |_| ed25519_key(x)),
            Self::Rsa { n, e } => {
                let components = RsaPublicKeyComponents {
                    n: base64url::decode(n)?,
                    e: base64url::decode(e)?,
                };
                rsa::check_components(&components.n, &components.e)?;
                parse_for(algorithms, |algorithm| rsa_key(&components, algorithm))
            }
        }
    }
}

fn parse_for(
    algorithms: &[Algorithm],
    parse: impl Fn(Algorithm) -> Result<ParsedPublicKey, JoseError>,
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, JoseError> {
    algorithms
        .iter()
        .map(|&algorithm| Ok((algorithm, parse(algorithm)?)))
        .collect()
}

/// aws-lc refuses points that are not on the curve, which is what stops invalid-curve attacks.
fn ec_key(curve: Curve, x: &str, y: &str) -> Result<ParsedPublicKey, JoseError> {
    let algorithm: &'static dyn VerificationAlgorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED,
    };
    let mut point = vec![0x04]; // SEC 1 §2.3.3: uncompressed
    point.extend(fixed(x, curve.coordinate_bytes())?);
    point.extend(fixed(y, curve.coordinate_bytes())?);
    ParsedPublicKey::new(algorithm, point).map_err(|_| JoseError::UnusableKey)
}

fn ed25519_key(x: &str) -> Result<ParsedPublicKey, JoseError> {
    ParsedPublicKey::new(&ED25519, fixed(x, 32)?).map_err(|_| JoseError::UnusableKey)
}

fn rsa_key(
    components: &RsaPublicKeyComponents<Vec<u8>>,
    algorithm: Algorithm,
) -> Result<ParsedPublicKey, JoseError> {
    let parameters = match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
            return Err(JoseError::AlgorithmMismatch);
        }
    };
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
