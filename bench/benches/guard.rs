//! What a resource server pays for a request: the guard's whole check, with the issuer's keys at hand, beside
//! the bare verification of the signature.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]
#![expect(clippy::print_stdout, reason = "the ratios are the point")]

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use doorward_bench::beside;
use doorward_guard::{Clock as _, Document, Fetch, FetchFailure, Guard, SystemClock};
use doorward_jose::{Algorithm, SigningKey, base64url, sign};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::runtime::Builder;

const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const JWKS: &str = "https://auth.example.com/jwks.json";

/// The issuer's documents, from memory.
struct Issuer {
    keys: Bytes,
}

impl Fetch for Issuer {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let body = match url {
            JWKS => self.keys.clone(),
            _ => Bytes::from(json!({ "issuer": ISSUER, "jwks_uri": JWKS }).to_string()),
        };
        std::future::ready(Ok(Document {
            body,
            fresh_for: None,
        }))
        .boxed()
    }
}

fn verification(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let raw = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.to_pkcs8().unwrap()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, raw.public_key().as_ref()).unwrap();
    let token = token(&key);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let bare = || public.verify_sig(input.as_bytes(), &signature).unwrap();

    let issuer = Arc::new(Issuer {
        keys: json!({ "keys": [key.public_jwk()] }).to_string().into(),
    });
    let guard = |cache| {
        let guard = Guard::builder(ISSUER, RESOURCE)
            .token_cache(cache)
            .fetch(issuer.clone())
            .build()
            .unwrap();
        // The first token waits for the keys.
        runtime.block_on(guard.verify(&token)).unwrap();
        guard
    };
    let (whole, cached) = (guard(0), guard(1000));
    // Nothing is waited for any more, so the check is done when it is polled for the first time.
    let check = |guard: &Guard| guard.verify(&token).now_or_never().unwrap().unwrap();

    let mut group = criterion.benchmark_group("guard");
    group.bench_function("bare", |b| b.iter(bare));
    group.bench_function("verify", |b| b.iter(|| check(&whole)));
    group.bench_function("verify_seen_before", |b| b.iter(|| check(&cached)));
    group.finish();
    if beside::is_wanted() {
        println!(
            "a token checked by the guard {}",
            beside::measure(|| check(&whole), bare)
        );
        println!(
            "a token that it has seen before {}",
            beside::measure(|| check(&cached), bare)
        );
    }
}

fn token(key: &SigningKey) -> String {
    let now = SystemClock.now().seconds();
    let claims = json!({
        "iss": ISSUER, "sub": "5d0c3f0a-9c1e-4a0e-9d0a-6d1c2f3b4a5e", "aud": RESOURCE,
        "client_id": "dwc_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE", "scope": "tools/read tools/write",
        "jti": "0c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f", "iat": now, "exp": now + 3600,
        "gid": "0190b8a4-5f3c-7c1e-8d2a-3b4c5d6e7f80", "auth_time": now, "amr": ["pwd"],
    });
    sign(key, "at+jwt", &claims).unwrap()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = verification
}
criterion_main!(benches);
