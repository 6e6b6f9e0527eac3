//! PEM (RFC 7468) and what is inside: `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7), PKCS#1, PKCS#8.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicKey as RsaPublicKey,
    signature::RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    JoseError, base64url,
    material::{Curve, Material},
};

/// An RSA key of 8192 bits with its private half needs less than 7 KiB.
const MAX_PEM_BYTES: usize = 16 * 1024;
const LINE: usize = 64;

const PUBLIC_KEY: &str = "PUBLIC KEY";
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// DER has one spelling for everything before the point of a named curve (RFC 5480 §2, RFC 8410 §4), so comparing it is
/// all the parsing there is.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P384_PREFIX: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];
const ED25519_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Reads one PEM block: its label and its bytes.
pub(crate) fn decode(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), JoseError> {
    if text.len() > MAX_PEM_BYTES {
        return Err(JoseError::TooLarge);
    }
    let block = || {
        let rest = text.trim().strip_prefix("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        let body = rest.strip_suffix("-----")?.strip_suffix(label)?;
        Some((label, body.strip_suffix("-----END ")?))
    };
    let (label, body) = block().ok_or(JoseError::Malformed)?;
    let base64: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let der = STANDARD
        .decode(base64.as_bytes())
        .map_err(|_| JoseError::Malformed)?;
    Ok((label, Zeroizing::new(der)))
}

/// Writes one PEM block, with lines of 64 characters (RFC 7468 §2) and a line feed at the end of each.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() * 66 / LINE + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

impl Material {
    /// Reads `PUBLIC KEY` (`SubjectPublicKeyInfo`) and `RSA PUBLIC KEY` (PKCS#1).
    pub(crate) fn from_pem(text: &str) -> Result<Self, JoseError> {
        let (label, der) = decode(text)?;
        match label {
            PUBLIC_KEY => Self::from_spki(&der),
            "RSA PUBLIC KEY" => rsa(&der, |key, der| key.as_ref() == der),
            _ if label.ends_with(PRIVATE_KEY) => Err(JoseError::PrivateKey),
            _ => Err(JoseError::UnusableKey),
        }
    }

    fn from_spki(der: &[u8]) -> Result<Self, JoseError> {
        for (prefix, crv) in [(P256_PREFIX, Curve::P256), (P384_PREFIX, Curve::P384)] {
            if let Some(point) = der.strip_prefix(prefix) {
                // Whether the halves have the length of a coordinate is seen when the key is built.
                let (x, y) = point.split_at(point.len() / 2);
                return Ok(Self::Ec {
                    crv,
                    x: base64url::encode(x),
                    y: base64url::encode(y),
                });
            }
        }
        if let Some(x) = der.strip_prefix(ED25519_PREFIX) {
            return Ok(Self::Okp {
                crv: Self::ED25519,
                x: base64url::encode(x),
            });
        }
        rsa(der, |key, der| {
            AsDer::<PublicKeyX509Der>::as_der(key).is_ok_and(|again| again.as_ref() == der)
        })
    }

    /// The key as `SubjectPublicKeyInfo` in a `PUBLIC KEY` block.
    pub(crate) fn to_pem(&self) -> Result<String, JoseError> {
        let point = |prefix: &[u8], coordinates: [&str; 2]| {
            let mut der = prefix.to_vec();
            for coordinate in coordinates {
                der.extend(base64url::decode(coordinate)?);
            }
            Ok(der)
        };
        let der = match self {
            Self::Ec {
                crv: Curve::P256,
                x,
                y,
            } => point(P256_PREFIX, [x, y])?,
            Self::Ec {
                crv: Curve::P384,
                x,
                y,
            } => point(P384_PREFIX, [x, y])?,
            Self::Okp { x, .. } => point(ED25519_PREFIX, [x, ""])?,
            Self::Rsa { n, e } => {
                let components = RsaPublicKeyComponents {
                    n: base64url::decode(n)?,
                    e: base64url::decode(e)?,
                };
                let der = AsDer::<PublicKeyX509Der>::as_der(&components);
                der.map_err(|_| JoseError::UnusableKey)?.as_ref().to_vec()
            }
        };
        Ok(encode(PUBLIC_KEY, &der).to_string())
    }
}

/// Reads an RSA key, which must be written exactly as DER writes it: `is_same` compares it with the key written again.
fn rsa(der: &[u8], is_same: impl Fn(&RsaPublicKey, &[u8]) -> bool) -> Result<Material, JoseError> {
    let key = RsaPublicKey::from_der(der).map_err(|_| JoseError::UnusableKey)?;
    if !is_same(&key, der) {
        return Err(JoseError::UnusableKey);
    }
    Ok(Material::Rsa {
        n: base64url::encode(key.modulus().big_endian_without_leading_zero()),
        e: base64url::encode(key.exponent().big_endian_without_leading_zero()),
    })
}
