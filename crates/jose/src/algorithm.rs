use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The signature algorithms of RFC 7518 §3.1 and RFC 8037 §3.1 that Doorward speaks.
///
/// `none` and the HMAC family cannot be represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256; the default for new keys.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA with P-384 and SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
    #[serde(rename = "PS256")]
    Ps256,
    /// `EdDSA` with Ed25519. Also read as `Ed25519`, the name that RFC 9864 §2.2 gives the pair.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
}

impl Algorithm {
    /// Every supported algorithm, in the order of preference that metadata documents publish.
    pub const ALL: [Self; 7] = [
        Self::Es256,
        Self::EdDsa,
        Self::Es384,
        Self::Ps256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The value of the `alg` member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether what is signed is SHA-256 of the signing input.
    pub(crate) const fn hashes_with_sha256(self) -> bool {
        matches!(self, Self::Es256 | Self::Rs256 | Self::Ps256)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of an algorithm outside [`Algorithm::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm is not one of ES256, EdDSA, ES384, PS256, RS256, RS384, RS512")]
pub struct ParseAlgorithmError;

impl FromStr for Algorithm {
    type Err = ParseAlgorithmError;

    /// Names are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "Ed25519" {
            return Ok(Self::EdDsa);
        }
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(ParseAlgorithmError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_serde_form_agree() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
            assert_eq!(
                serde_json::from_value::<Algorithm>(algorithm.as_str().into()).unwrap(),
                algorithm
            );
        }
    }

    #[test]
    fn ed25519_by_its_own_name_is_read_and_not_written() {
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDsa));
        assert_eq!(
            serde_json::from_str::<Algorithm>("\"Ed25519\"").unwrap(),
            Algorithm::EdDsa
        );
        assert_eq!(Algorithm::EdDsa.as_str(), "EdDSA");
    }

    #[test]
    fn none_and_hmac_and_other_spellings_have_no_representation() {
        for name in [
            "none", "None", "HS256", "HS384", "HS512", "es256", "ES256 ", "ES512", "ES256K", "PS384", "",
        ] {
            assert_eq!(name.parse::<Algorithm>(), Err(ParseAlgorithmError), "{name}");
        }
    }
}
