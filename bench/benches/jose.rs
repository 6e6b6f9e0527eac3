//! Signing and verifying, each beside the bare signature of aws-lc-rs with the same key.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]
#![expect(clippy::print_stdout, reason = "the ratios are the point")]

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RsaKeyPair, VerificationAlgorithm,
};
use criterion::{Criterion, criterion_group, criterion_main};
use doorward_bench::beside;
use doorward_jose::{Algorithm, Jws, SigningKey, base64url, sign};
use serde_json::{Value, json};

fn claims() -> Value {
    json!({
        "iss": "https://auth.example.com", "sub": "5d0c3f0a-9c1e-4a0e-9d0a-6d1c2f3b4a5e",
        "aud": "https://mcp.example.com/mcp", "client_id": "dwc_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE",
        "scope": "tools/read tools/write", "jti": "0c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f",
        "iat": 1_800_000_000, "exp": 1_800_000_300, "gid": "0190b8a4-5f3c-7c1e-8d2a-3b4c5d6e7f80",
        "auth_time": 1_799_999_000, "amr": ["pwd"],
    })
}

/// The same private key as aws-lc-rs has it.
enum Raw {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

impl Raw {
    fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Self {
        match algorithm {
            Algorithm::Es256 => {
                Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).unwrap())
            }
            Algorithm::Es384 => {
                Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8).unwrap())
            }
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).unwrap()),
            Algorithm::Rs256 => Self::Rsa(
                RsaKeyPair::from_pkcs8(pkcs8).unwrap(),
                &signature::RSA_PKCS1_SHA256,
            ),
            Algorithm::Rs384 => Self::Rsa(
                RsaKeyPair::from_pkcs8(pkcs8).unwrap(),
                &signature::RSA_PKCS1_SHA384,
            ),
            Algorithm::Rs512 => Self::Rsa(
                RsaKeyPair::from_pkcs8(pkcs8).unwrap(),
                &signature::RSA_PKCS1_SHA512,
            ),
            Algorithm::Ps256 => Self::Rsa(RsaKeyPair::from_pkcs8(pkcs8).unwrap(), &signature::RSA_PSS_SHA256),
        }
    }

    fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(key) => key.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(input).as_ref().to_vec(),
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), input, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// The public key, parsed once, as the server and the guard keep it.
    fn public(&self, algorithm: Algorithm) -> ParsedPublicKey {
        let parameters: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        };
        let bytes = match self {
            Self::Ecdsa(key) => key.public_key().as_ref(),
            Self::Ed25519(key) => key.public_key().as_ref(),
            Self::Rsa(key, _) => key.public_key().as_ref(),
        };
        ParsedPublicKey::new(parameters, bytes).unwrap()
    }
}

fn signing(criterion: &mut Criterion) {
    let claims = claims();
    let mut group = criterion.benchmark_group("sign");
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let raw = Raw::new(algorithm, &key.to_pkcs8().unwrap());
        let token = sign(&key, "at+jwt", &claims).unwrap();
        let (input, _) = token.rsplit_once('.').unwrap();
        let name = algorithm.as_str();
        group.bench_function(format!("{name}/bare"), |b| b.iter(|| raw.sign(input.as_bytes())));
        group.bench_function(format!("{name}/signature"), |b| {
            b.iter(|| key.sign(input.as_bytes()));
        });
        group.bench_function(format!("{name}/token"), |b| {
            b.iter(|| sign(&key, "at+jwt", &claims));
        });
        if beside::is_wanted() {
            let beside = beside::measure(|| sign(&key, "at+jwt", &claims), || raw.sign(input.as_bytes()));
            println!("{name}: a token signed {beside}\n");
        }
    }
    group.finish();
}

fn verifying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let public = Raw::new(algorithm, &key.to_pkcs8().unwrap()).public(algorithm);
        let token = sign(&key, "at+jwt", &claims()).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        let jwk = key.public_jwk();
        let ours = || {
            Jws::parse(&token)
                .unwrap()
                .verify(jwk)
                .unwrap()
                .claims::<Value>()
                .unwrap()
        };
        let bare = || public.verify_sig(input.as_bytes(), &signature).unwrap();
        let name = algorithm.as_str();
        group.bench_function(format!("{name}/bare"), |b| b.iter(bare));
        group.bench_function(format!("{name}/parse"), |b| b.iter(|| Jws::parse(&token)));
        group.bench_function(format!("{name}/token"), |b| b.iter(ours));
        if beside::is_wanted() {
            println!(
                "{name}: a token parsed, verified, its claims read {}\n",
                beside::measure(ours, bare)
            );
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = signing, verifying
}
criterion_main!(benches);
