//! What a resource server pays for a request: the guard's whole check, with the issuer's keys at hand, beside
//! the bare verification of the signature.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]
#![expect(clippy::print_stdout, reason = "the ratios are the point")]

use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use criterion::{Criterion, criterion_group, criterion_main};
use doorward_bench::beside;
use doorward_bench::issuer::{self, token};
use doorward_guard::Guard;
use doorward_jose::{Algorithm, SigningKey, base64url};
use futures_util::FutureExt as _;
use serde_json::json;
use tokio::runtime::Builder;

fn verification(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let raw = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.to_pkcs8().unwrap()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, raw.public_key().as_ref()).unwrap();
    let token = token(&key, 0).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let bare = || public.verify_sig(input.as_bytes(), &signature).unwrap();

    let jwks = json!({ "keys": [key.public_jwk()] });
    let guard = |cache| {
        let guard = issuer::guard(&jwks).token_cache(cache).build().unwrap();
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = verification
}
criterion_main!(benches);
