//! Any text as a `DPoP` proof, and good proofs that were changed: one that is accepted is accepted again, has one spelling,
//! and is for this request alone.
//!
//! The first byte says what the rest is: a proof; changes of a good one, three bytes each; a payload that the key signs; or
//! a header (with `JWK` for the key) and a payload on the next line, signed as well. `NONCE` is a good nonce.
#![no_main]

use std::sync::LazyLock;

use doorward_fuzz::keys::{key, replaced, signed};
use doorward_jose::{SigningKey, base64url};
use doorward_oauth::dpop::{NONCE_LIFETIME, NonceKey, Nonces, Proof, ProofContext, ProofRules, TargetUri};
use doorward_oauth::time::UnixSeconds;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use url::Url;

/// The time and the request of the example in RFC 9449 §4.1.
const NOW: UnixSeconds = UnixSeconds(1_562_262_620);
const METHOD: &str = "POST";
const URI: &str = "https://server.example.com/token";

struct Fixture {
    key: SigningKey,
    rules: ProofRules,
    uri: TargetUri,
    nonces: Nonces,
    nonce: String,
    header: String,
    good: String,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let key = key();
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.public_jwk()}).to_string();
    let claims = json!({"jti": "j", "htm": METHOD, "htu": URI, "iat": NOW.0});
    let good = signed(&key, header.as_bytes(), claims.to_string().as_bytes());
    let nonces = Nonces::new(NonceKey::new([9; 32]), NONCE_LIFETIME);
    Fixture {
        nonce: nonces.issue(NOW),
        uri: TargetUri::parse(URI).expect("a URI"),
        rules: ProofRules::default(),
        key,
        nonces,
        header,
        good,
    }
});

impl Fixture {
    fn verify(&self, proof: &str, nonces: bool) -> Option<Proof> {
        let request = ProofContext {
            method: METHOD,
            uri: &self.uri,
            access_token: None,
            nonces: nonces.then_some(&self.nonces),
        };
        self.rules.verify(proof, &request, NOW).ok()
    }

    /// What an accepted proof must be, to an ordinary reader.
    fn judge(&self, text: &str, proof: &Proof, nonces: bool) {
        assert_eq!(
            self.verify(text, nonces).as_ref(),
            Some(proof),
            "accepted once more"
        );
        let parts: Vec<_> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        let decoded = parts.iter().map(|part| {
            let bytes = base64url::decode(part).expect("base64url");
            assert_eq!(base64url::encode(&bytes), *part, "one spelling");
            bytes
        });
        let decoded: Vec<_> = decoded.collect();
        let header: Value = serde_json::from_slice(&decoded[0]).expect("JSON");
        let claims: Value = serde_json::from_slice(&decoded[1]).expect("JSON");
        assert_eq!(header["typ"], "dpop+jwt");
        assert!(header["jwk"].get("d").is_none() && header.get("crit").is_none());
        assert_eq!(claims["htm"], METHOD);
        assert_eq!(claims["jti"], proof.jti());
        assert!((NOW.0 - 300..=NOW.0 + 60).contains(&proof.issued_at().0));
        assert!(proof.acceptable_until() > NOW);
        let htu = Url::parse(claims["htu"].as_str().expect("a string")).expect("a URL");
        assert_eq!(htu.origin(), Url::parse(URI).expect("a URL").origin());
        assert!(!nonces || claims["nonce"] == *self.nonce);
        self.judge_others(text);
    }

    /// It counts for nothing else.
    fn judge_others(&self, text: &str) {
        let elsewhere = TargetUri::parse("https://server.example.com/token/").expect("a URI");
        for (method, uri, access_token, now) in [
            ("GET", &self.uri, None, NOW),
            (METHOD, &elsewhere, None, NOW),
            (METHOD, &self.uri, None, UnixSeconds(NOW.0 + 361)),
            (METHOD, &self.uri, None, UnixSeconds(NOW.0 - 361)),
        ] {
            let request = ProofContext {
                method,
                uri,
                access_token,
                nonces: None,
            };
            assert!(
                self.rules.verify(text, &request, now).is_err(),
                "{method} {uri:?} {now:?}"
            );
        }
    }
}

fn changed(good: &str, changes: &[u8]) -> String {
    let mut bytes = good.as_bytes().to_vec();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2] & 0x7f;
    }
    String::from_utf8(bytes).expect("ASCII")
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let fixture = &*FIXTURE;
    let key = fixture.key.public_jwk();
    let rest_with_words = || {
        let jwk = serde_json::to_vec(key).expect("a key serialises");
        replaced(&replaced(rest, b"NONCE", fixture.nonce.as_bytes()), b"JWK", &jwk)
    };
    let text = match mode % 4 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => changed(&fixture.good, rest),
        2 => signed(&fixture.key, fixture.header.as_bytes(), &rest_with_words()),
        _ => {
            let input = rest_with_words();
            let end = input
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(input.len());
            let (header, payload) = input.split_at(end);
            signed(&fixture.key, header, payload.get(1..).unwrap_or_default())
        }
    };
    for nonces in [false, true] {
        if let Some(proof) = fixture.verify(&text, nonces) {
            assert!(mode % 4 != 1 || text == fixture.good, "a changed proof");
            assert!(mode % 4 == 0 || proof.key_thumbprint() == key.thumbprint());
            fixture.judge(&text, &proof, nonces);
        }
    }
});
