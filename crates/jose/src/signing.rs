//! Private keys and the tokens they sign.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    Algorithm, JoseError, Jwk, MAX_JWS_BYTES, base64url,
    material::{Curve, Material},
    pem,
};

/// Something that signs: a [key in memory](SigningKey), or one that stays in a key service or a hardware module, which has to
/// be asked.
pub trait Signer: Send + Sync {
    /// The `alg` of the tokens it signs.
    fn algorithm(&self) -> Algorithm;
    /// The `kid` of the tokens it signs.
    fn key_id(&self) -> &str;
    /// Signs the JWS signing input; ECDSA signatures are `r || s` (RFC 7518 §3.4). It must not block: who has to ask answers
    /// [later](Signature::Later), and says [`JoseError::SigningFailed`] when that takes too long.
    fn sign<'s>(&'s self, signing_input: &'s [u8]) -> Signature<'s>;
}

/// What a [`Signer`] answers: a future, which costs nothing where the signature is there already.
#[must_use]
pub enum Signature<'s> {
    /// Signed, or not.
    Now(Result<Vec<u8>, JoseError>),
    /// Somebody else is asked.
    Later(Pin<Box<dyn Future<Output = Result<Vec<u8>, JoseError>> + Send + 's>>),
}

impl Future for Signature<'_> {
    type Output = Result<Vec<u8>, JoseError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // Taken away: whoever asks again after the answer has no signature.
            Self::Now(signed) => Poll::Ready(std::mem::replace(signed, Err(JoseError::SigningFailed))),
            Self::Later(asked) => asked.as_mut().poll(context),
        }
    }
}

/// A private key in memory, parsed once. aws-lc wipes it when it is dropped; `Debug` shows the `kid` alone.
pub struct SigningKey {
    algorithm: Algorithm,
    private: Private,
    public: Jwk,
}

enum Private {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// Which key an algorithm needs.
enum Family {
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
    Rsa(&'static dyn RsaEncoding),
}

impl Family {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => Self::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDsa => Self::Ed25519,
            Algorithm::Rs256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => Self::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => Self::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => Self::Rsa(&RSA_PSS_SHA256),
        }
    }
}

impl SigningKey {
    /// Makes a new key; RSA keys have 2048 bits.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the system's random source fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, JoseError> {
        let private = match Family::of(algorithm) {
            Family::Ecdsa(parameters) => EcdsaKeyPair::generate(parameters).map(Private::Ecdsa),
            Family::Ed25519 => Ed25519KeyPair::generate().map(Private::Ed25519),
            Family::Rsa(encoding) => {
                RsaKeyPair::generate(KeySize::Rsa2048).map(|key| Private::Rsa(key, encoding))
            }
        };
        Self::new(algorithm, private.map_err(|_| JoseError::UnusableKey)?)
    }

    /// Reads an unencrypted PKCS#8 document (RFC 5208, RFC 5958), DER.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when it is not a key for `algorithm`, [`JoseError::WeakKey`] for an RSA key that this
    /// crate would not verify with.
    pub fn from_pkcs8(algorithm: Algorithm, document: &[u8]) -> Result<Self, JoseError> {
        let private = match Family::of(algorithm) {
            Family::Ecdsa(parameters) => EcdsaKeyPair::from_pkcs8(parameters, document).map(Private::Ecdsa),
            Family::Ed25519 => Ed25519KeyPair::from_pkcs8(document).map(Private::Ed25519),
            Family::Rsa(encoding) => RsaKeyPair::from_pkcs8(document).map(|key| Private::Rsa(key, encoding)),
        };
        Self::new(algorithm, private.map_err(|_| JoseError::UnusableKey)?)
    }

    /// Reads an unencrypted `PRIVATE KEY` block (RFC 7468 §10).
    ///
    /// # Errors
    /// [`JoseError::Malformed`] for anything but one such block, and the errors of [`SigningKey::from_pkcs8`].
    pub fn from_pem(algorithm: Algorithm, text: &str) -> Result<Self, JoseError> {
        match pem::decode(text)? {
            (pem::PRIVATE_KEY, document) => Self::from_pkcs8(algorithm, &document),
            _ => Err(JoseError::Malformed),
        }
    }

    /// The private key as a `PRIVATE KEY` block. Wiped when dropped; store it encrypted.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the key cannot be written.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, JoseError> {
        Ok(pem::encode(pem::PRIVATE_KEY, &self.to_pkcs8()?))
    }

    fn new(algorithm: Algorithm, private: Private) -> Result<Self, JoseError> {
        let public = Jwk::of_signing_key(private.material(algorithm)?, algorithm)?;
        Ok(Self {
            algorithm,
            private,
            public,
        })
    }

    /// The private key as a PKCS#8 document, DER. Wiped when dropped; store it encrypted.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the key cannot be written.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, JoseError> {
        let document = match &self.private {
            Private::Ecdsa(key) => key
                .to_pkcs8v1()
                .map(|document| Zeroizing::new(document.as_ref().to_vec())),
            Private::Ed25519(key) => key
                .to_pkcs8v1()
                .map(|document| Zeroizing::new(document.as_ref().to_vec())),
            Private::Rsa(key, _) => {
                AsDer::<Pkcs8V1Der>::as_der(key).map(|document| Zeroizing::new(document.as_ref().to_vec()))
            }
        };
        document.map_err(|_| JoseError::UnusableKey)
    }

    /// The public half, with `kid` (the RFC 7638 thumbprint), `alg` and `use: sig` set.
    pub fn public_jwk(&self) -> &Jwk {
        &self.public
    }
}

impl Private {
    fn material(&self, algorithm: Algorithm) -> Result<Material, JoseError> {
        match self {
            Self::Ecdsa(key) => {
                let crv = if algorithm == Algorithm::Es256 {
                    Curve::P256
                } else {
                    Curve::P384
                };
                // SEC 1 §2.3.3: 0x04 || x || y
                let coordinates = key.public_key().as_ref().get(1..).ok_or(JoseError::UnusableKey)?;
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                Ok(Material::Ec {
                    crv,
                    x: base64url::encode(x),
                    y: base64url::encode(y),
                })
            }
            Self::Ed25519(key) => Ok(Material::Okp {
                crv: Material::ED25519,
                x: base64url::encode(key.public_key().as_ref()),
            }),
            Self::Rsa(key, _) => {
                let public = key.public_key();
                Ok(Material::Rsa {
                    n: base64url::encode(public.modulus().big_endian_without_leading_zero()),
                    e: base64url::encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
        }
    }
}

impl SigningKey {
    /// The `alg` of the tokens that it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of the public key (RFC 7638), as `kid`.
    pub fn key_id(&self) -> &str {
        self.public.thumbprint()
    }

    /// Signs the JWS signing input; ECDSA signatures are `r || s` (RFC 7518 §3.4).
    ///
    /// # Errors
    /// [`JoseError::SigningFailed`].
    pub fn sign(&self, signing_input: &[u8]) -> Result<Vec<u8>, JoseError> {
        // aws-lc draws nonces and salts from its own generator; the argument is part of the interface alone.
        let random = SystemRandom::new();
        match &self.private {
            Private::Ecdsa(key) => key
                .sign(&random, signing_input)
                .map(|signature| signature.as_ref().to_vec()),
            Private::Ed25519(key) => key
                .try_sign(signing_input)
                .map(|signature| signature.as_ref().to_vec()),
            Private::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, signing_input, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(|_| JoseError::SigningFailed)
    }
}

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm()
    }

    fn key_id(&self) -> &str {
        self.key_id()
    }

    fn sign<'s>(&'s self, signing_input: &'s [u8]) -> Signature<'s> {
        Signature::Now(self.sign(signing_input))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

/// Signs `claims` with a key in memory, as a JWS compact serialisation with the header `{"alg","typ","kid"}`.
///
/// # Errors
/// [`JoseError::Malformed`] when the claims do not serialise, [`JoseError::TooLarge`] when no verifier of this crate
/// would read the token, [`JoseError::SigningFailed`].
pub fn sign<T: Serialize>(key: &SigningKey, typ: &str, claims: &T) -> Result<String, JoseError> {
    let token = signing_input(key, typ, claims)?;
    let signature = key.sign(token.as_bytes())?;
    with_signature(token, &signature)
}

/// Signs `claims` with any [`Signer`], which may have to be asked first; otherwise as [`sign`].
///
/// # Errors
/// As [`sign`]; whatever the signer says.
pub async fn sign_by<T: Serialize>(signer: &dyn Signer, typ: &str, claims: &T) -> Result<String, JoseError> {
    let token = signing_input(signer, typ, claims)?;
    let signature = signer.sign(token.as_bytes()).await?;
    with_signature(token, &signature)
}

/// Header and claims.
fn signing_input<T: Serialize>(signer: &dyn Signer, typ: &str, claims: &T) -> Result<String, JoseError> {
    #[derive(Serialize)]
    struct ProtectedHeader<'h> {
        alg: &'static str,
        typ: &'h str,
        kid: &'h str,
    }

    let header = ProtectedHeader {
        alg: signer.algorithm().as_str(),
        typ,
        kid: signer.key_id(),
    };
    let header = serde_json::to_vec(&header).map_err(|_| JoseError::Malformed)?;
    let claims = serde_json::to_vec(claims).map_err(|_| JoseError::Malformed)?;
    let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 128);
    base64url::encode_onto(&header, &mut token);
    token.push('.');
    base64url::encode_onto(&claims, &mut token);
    Ok(token)
}

fn with_signature(mut token: String, signature: &[u8]) -> Result<String, JoseError> {
    token.push('.');
    base64url::encode_onto(signature, &mut token);
    if token.len() > MAX_JWS_BYTES {
        Err(JoseError::TooLarge)
    } else {
        Ok(token)
    }
}
