//! What it costs to check an access token, beside the bare signature check and beside other libraries.
//!
//! Measures the Rust side and prints one JSON object of nanoseconds of processor time a call. With `--fixtures FILE` it
//! writes the keys and tokens that programs in other languages measure themselves with.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to its terminal")]

mod dpop;
mod layer;
mod raw;
mod replay;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use doorward_bench::beside;
use doorward_bench::issuer::{self, ISSUER, JWKS, RESOURCE, token};
use doorward_guard::Guard;
use doorward_jose::{Algorithm, SigningKey};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Measures the check of an access token")]
struct Arguments {
    /// Write keys and tokens for other programs here, and measure nothing
    #[arg(long, value_name = "FILE")]
    fixtures: Option<PathBuf>,
    /// Measure nothing but the bare signature check, over the tokens of this file
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(file) = arguments.raw {
        println!("{}", serde_json::to_string(&raw::measure(&file)?)?);
        return Ok(());
    }
    if let Some(file) = arguments.fixtures {
        let text = serde_json::to_string_pretty(&fixtures()?)?;
        return std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()));
    }
    println!("{}", serde_json::to_string(&measure()?)?);
    Ok(())
}

fn generate(algorithm: Algorithm) -> Result<SigningKey> {
    SigningKey::generate(algorithm).map_err(|error| anyhow!("cannot make a key: {error}"))
}

fn fixtures() -> Result<Value> {
    let key = generate(Algorithm::Es256)?;
    let tokens: Result<Vec<_>> = (0..2_000).map(|number| token(&key, number)).collect();
    let private = key.to_pem().map_err(|error| anyhow!("cannot export: {error}"))?;
    Ok(json!({
        "issuer": ISSUER, "resource": RESOURCE, "jwks_uri": JWKS,
        "jwks": { "keys": [key.public_jwk()] }, "private_key": *private, "tokens": tokens?,
    }))
}

fn measure() -> Result<BTreeMap<&'static str, f64>> {
    let mut figures = BTreeMap::new();
    for (name, algorithm) in [
        ("es256", Algorithm::Es256),
        ("eddsa", Algorithm::EdDsa),
        ("rs256", Algorithm::Rs256),
    ] {
        measure_algorithm(name, algorithm, &mut figures)?;
    }
    figures.insert(
        "the layer around a tool call, token seen before",
        layer::measure(&generate(Algorithm::Es256)?)?,
    );
    let dpop = dpop::measure()?;
    figures.insert("raw ES256, the tokens of the pairs", dpop.raw);
    figures.insert("guard ES256, token and proof", dpop.pair);
    figures.insert(
        "replay store, a million live proofs, insertion",
        replay::measure()?.median,
    );
    Ok(figures)
}

/// The names of an algorithm's figures.
fn names(algorithm: &str) -> [&'static str; 4] {
    match algorithm {
        "es256" => [
            "raw ES256",
            "guard ES256",
            "guard ES256, seen before",
            "jsonwebtoken ES256",
        ],
        "eddsa" => [
            "raw EdDSA",
            "guard EdDSA",
            "guard EdDSA, seen before",
            "jsonwebtoken EdDSA",
        ],
        _ => [
            "raw RS256",
            "guard RS256",
            "guard RS256, seen before",
            "jsonwebtoken RS256",
        ],
    }
}

fn measure_algorithm(
    name: &str,
    algorithm: Algorithm,
    figures: &mut BTreeMap<&'static str, f64>,
) -> Result<()> {
    let key = generate(algorithm)?;
    let token = token(&key, 0)?;
    let raw = raw_check(algorithm, &key, &token)?;
    let (cold, warm) = (guard(&key, 0)?, guard(&key, 1_000)?);
    // Nothing is waited for any more, so the check is done when it is polled for the first time.
    let check = |guard: &Guard| {
        guard
            .verify(&token)
            .now_or_never()
            .is_some_and(|done| done.is_ok())
    };
    let other = jsonwebtoken_check(algorithm, &key, &token)?;
    anyhow::ensure!(raw() && check(&cold) && check(&warm) && other(), "a check fails");
    let [raw_name, cold_name, warm_name, other_name] = names(name);
    let beside_raw = beside::measure(|| check(&cold), &raw);
    figures.insert(raw_name, beside_raw.limit.median);
    figures.insert(cold_name, beside_raw.ours.median);
    figures.insert(warm_name, beside::measure(|| check(&warm), &raw).ours.median);
    figures.insert(other_name, beside::measure(other, &raw).ours.median);
    Ok(())
}

/// The signature alone, by aws-lc, with a key that was parsed before.
fn raw_check(algorithm: Algorithm, key: &SigningKey, token: &str) -> Result<impl Fn() -> bool> {
    let (input, signature) = token.rsplit_once('.').context("a token has dots")?;
    let (input, signature) = (input.to_owned(), URL_SAFE_NO_PAD.decode(signature)?);
    let jwk = serde_json::to_value(key.public_jwk())?;
    let member = |name: &str| -> Result<Vec<u8>> {
        let text = jwk[name].as_str().context("a member of the key is missing")?;
        Ok(URL_SAFE_NO_PAD.decode(text)?)
    };
    let parsed = match algorithm {
        Algorithm::Es256 => {
            let point = [vec![4], member("x")?, member("y")?].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)?
        }
        Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, member("x")?)?,
        _ => {
            let private = key
                .to_pkcs8()
                .map_err(|error| anyhow!("cannot export: {error}"))?;
            let public = RsaKeyPair::from_pkcs8(&private)?.public_key().as_ref().to_vec();
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)?
        }
    };
    Ok(move || parsed.verify_sig(input.as_bytes(), &signature).is_ok())
}

fn jsonwebtoken_check(algorithm: Algorithm, key: &SigningKey, token: &str) -> Result<impl Fn() -> bool> {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(serde_json::to_value(key.public_jwk())?)?;
    let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk)?;
    let mut validation = jsonwebtoken::Validation::new(algorithm.as_str().parse()?);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[RESOURCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let token = token.to_owned();
    Ok(move || jsonwebtoken::decode::<Value>(&token, &decoding, &validation).is_ok())
}

/// A guard that has its keys, with room for this many verified tokens.
fn guard(key: &SigningKey, cache: usize) -> Result<Guard> {
    let guard = issuer::guard(&json!({ "keys": [key.public_jwk()] }))
        .token_cache(cache)
        .build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The first token waits for the keys.
    runtime.block_on(guard.verify(&token(key, 1)?))?;
    Ok(guard)
}
