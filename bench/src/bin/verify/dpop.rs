//! A bound token together with its proof (RFC 9449), none of them ever seen before.

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_bench::cpu;
use doorward_bench::issuer::{self, RESOURCE, bound_token, token};
use doorward_bench::spread::Spread;
use doorward_guard::{Clock as _, DpopPolicy, SystemClock};
use doorward_jose::{Algorithm, SigningKey};
use doorward_oauth::dpop::access_token_hash;
use futures_util::FutureExt as _;
use http::Method;
use serde_json::{Value, json};

/// Tokens with a proof each; a round uses each once.
const PAIRS: usize = 400;
const ROUNDS: usize = 25;

/// What a token with its proof costs, and what the bare signature check of the token costs, in nanoseconds of processor time.
pub struct Figures {
    pub pair: f64,
    pub raw: f64,
}

/// Each round is a guard of its own with as many new pairs, beside the bare check of the same tokens' signatures.
pub fn measure() -> Result<Figures> {
    let (key, client) = (generate()?, generate()?);
    let point = |name: &str| -> Result<Vec<u8>> {
        let jwk = serde_json::to_value(key.public_jwk())?;
        Ok(URL_SAFE_NO_PAD.decode(jwk[name].as_str().context("no coordinate")?)?)
    };
    let raw_key = ParsedPublicKey::new(
        &ECDSA_P256_SHA256_FIXED,
        [vec![4], point("x")?, point("y")?].concat(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let pairs: Result<Vec<_>> = (0..PAIRS).map(|number| pair(&key, &client, number)).collect();
        let pairs = pairs?;
        let guard = issuer::guard(&json!({ "keys": [key.public_jwk()] }))
            .dpop(DpopPolicy::Accept)
            .build()?;
        runtime.block_on(guard.verify(&token(&key, PAIRS)?))?;
        let started = cpu::of_this_thread();
        let good = pairs
            .iter()
            .filter(|(token, proof)| {
                let checked = guard.verify_dpop(token, proof, &Method::POST, "/mcp");
                checked.now_or_never().is_some_and(|checked| checked.is_ok())
            })
            .count();
        ours.push(nanoseconds(started));
        ensure!(good == PAIRS, "a proof is refused");
        let signed: Result<Vec<_>> = pairs.iter().map(|(token, _)| signature(token)).collect();
        let signed = signed?;
        let started = cpu::of_this_thread();
        let good = signed
            .iter()
            .filter(|(input, signature)| raw_key.verify_sig(input.as_bytes(), signature).is_ok())
            .count();
        bare.push(nanoseconds(started));
        ensure!(good == PAIRS, "a signature is not good");
    }
    Ok(Figures {
        pair: Spread::of(ours).median,
        raw: Spread::of(bare).median,
    })
}

fn generate() -> Result<SigningKey> {
    SigningKey::generate(Algorithm::Es256).map_err(|error| anyhow!("cannot make a key: {error}"))
}

/// For each of [`PAIRS`].
fn nanoseconds(started: std::time::Duration) -> f64 {
    let pairs = u32::try_from(PAIRS).map_or(f64::NAN, f64::from);
    cpu::of_this_thread().saturating_sub(started).as_secs_f64() * 1e9 / pairs
}

fn signature(token: &str) -> Result<(&str, Vec<u8>)> {
    let (input, signature) = token.rsplit_once('.').context("a token has dots")?;
    Ok((input, URL_SAFE_NO_PAD.decode(signature)?))
}

fn pair(key: &SigningKey, client: &SigningKey, number: usize) -> Result<(String, String)> {
    let token = bound_token(key, number, client.public_jwk().thumbprint())?;
    let jwk = serde_json::to_value(client.public_jwk())?;
    let header = json!({
        "typ": "dpop+jwt", "alg": "ES256",
        "jwk": { "kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"] },
    });
    let claims = json!({
        "jti": format!("{number:032x}"), "htm": "POST", "htu": RESOURCE, "iat": SystemClock.now().seconds(),
        "ath": access_token_hash(&token),
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&claims));
    let signature = client
        .sign(input.as_bytes())
        .map_err(|error| anyhow!("cannot sign: {error}"))?;
    let proof = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    Ok((token, proof))
}
