//! The bare signature check over many tokens.
//!
//! To check one signature again and again is cheaper by a twelfth: the processor learns which way its branches go. Whoever
//! sees a token for the first time does not have that.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_bench::cpu;
use serde_json::Value;

const NAME: &str = "raw ES256, tokens never seen";

/// Nanoseconds of processor time for the signature of each token that `verify --fixtures` has written.
pub fn measure(file: &Path) -> Result<BTreeMap<&'static str, f64>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let fixtures: Value = serde_json::from_slice(&text)?;
    let coordinate = |name: &str| -> Result<Vec<u8>> {
        let text = fixtures["jwks"]["keys"][0][name].as_str();
        Ok(URL_SAFE_NO_PAD.decode(text.context("the fixtures hold no key")?)?)
    };
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)?;
    let tokens = fixtures["tokens"]
        .as_array()
        .context("the fixtures hold no tokens")?;
    let signed: Result<Vec<_>> = tokens
        .iter()
        .map(|token| {
            let (input, signature) = token
                .as_str()
                .and_then(|token| token.rsplit_once('.'))
                .context("no token")?;
            Ok((input, URL_SAFE_NO_PAD.decode(signature)?))
        })
        .collect();
    let signed = signed?;
    let started = cpu::of_this_thread();
    let good = signed
        .iter()
        .filter(|(input, signature)| key.verify_sig(input.as_bytes(), signature).is_ok())
        .count();
    let spent = cpu::of_this_thread().saturating_sub(started);
    ensure!(good == signed.len() && good > 0, "a signature is not good");
    let count = u32::try_from(good).context("too many tokens")?;
    Ok(BTreeMap::from([(
        NAME,
        spent.as_secs_f64() * 1e9 / f64::from(count),
    )]))
}
