//! `DPoP`: the vectors of `conformance/dpop.json`, and properties that hold for every proof.

#![expect(clippy::unwrap_used, reason = "tests say why they fail by panicking")]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use doorward_jose::{Algorithm, SigningKey, base64url};
use doorward_oauth::dpop::{
    MAX_JTI_BYTES, NonceAge, NonceError, NonceKey, Nonces, Proof, ProofContext, ProofError, ProofRules,
    TargetUri, access_token_hash,
};
use doorward_oauth::time::UnixSeconds;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Vectors {
    proofs: Vec<ProofVector>,
    uris: Vec<UriVector>,
    nonces: Vec<NonceVector>,
}

#[derive(Deserialize)]
struct ProofVector {
    title: String,
    method: String,
    uri: String,
    access_token: Option<String>,
    now: i64,
    algorithms: Option<Vec<Algorithm>>,
    max_age: Option<u64>,
    max_ahead: Option<u64>,
    nonces: Option<Keys>,
    proof: String,
    accepted: bool,
    jkt: Option<String>,
    reason: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    current: String,
    previous: Option<String>,
    lifetime: u64,
}

#[derive(Deserialize)]
struct UriVector {
    left: String,
    right: String,
    equal: bool,
}

#[derive(Deserialize)]
struct NonceVector {
    title: String,
    keys: Keys,
    nonce: Option<String>,
    issued: Option<i64>,
    now: i64,
    verdict: String,
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/dpop.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

impl Keys {
    fn nonces(&self) -> Nonces {
        let key = |hex: &String| {
            let digits = |index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
            NonceKey::new(std::array::from_fn(digits))
        };
        let nonces = Nonces::new(key(&self.current), Duration::from_secs(self.lifetime));
        match &self.previous {
            Some(previous) => nonces.with_previous(key(previous)),
            None => nonces,
        }
    }
}

impl ProofVector {
    fn verify(&self) -> Result<Proof, ProofError> {
        let mut rules = ProofRules::default();
        if let Some(algorithms) = &self.algorithms {
            rules.algorithms.clone_from(algorithms);
        }
        rules.max_age = self.max_age.map_or(rules.max_age, Duration::from_secs);
        rules.max_ahead = self.max_ahead.map_or(rules.max_ahead, Duration::from_secs);
        let nonces = self.nonces.as_ref().map(Keys::nonces);
        let request = ProofContext {
            method: &self.method,
            uri: &TargetUri::parse(&self.uri).unwrap(),
            access_token: self.access_token.as_deref(),
            nonces: nonces.as_ref(),
        };
        rules.verify(&self.proof, &request, UnixSeconds(self.now))
    }
}

fn name(error: ProofError) -> &'static str {
    match error {
        ProofError::Malformed => "malformed",
        ProofError::Type => "typ",
        ProofError::Algorithm => "alg",
        ProofError::NoKey => "no_jwk",
        ProofError::PrivateKey => "private_jwk",
        ProofError::Key => "jwk",
        ProofError::Signature => "signature",
        ProofError::Claims => "claims",
        ProofError::Jti => "jti",
        ProofError::Method => "htm",
        ProofError::Uri => "htu",
        ProofError::Stale => "stale",
        ProofError::FromTheFuture => "future",
        ProofError::AccessToken => "ath",
        ProofError::Nonce(NonceError::Missing) => "nonce_missing",
        ProofError::Nonce(NonceError::Unknown) => "nonce_unknown",
        ProofError::Nonce(NonceError::Expired) => "nonce_expired",
        _ => "unnamed",
    }
}

#[test]
fn proofs_follow_the_vectors() {
    let mut failures = Vec::new();
    for vector in &VECTORS.proofs {
        let outcome = vector.verify();
        let as_expected = match &outcome {
            Ok(proof) => vector.accepted && vector.jkt.as_deref() == Some(proof.key_thumbprint()),
            Err(error) => {
                !vector.accepted
                    && vector.reason.as_deref() == Some(name(*error))
                    && vector.error.as_deref() == Some(error.code().as_str())
            }
        };
        if !as_expected {
            failures.push(format!("{}: {outcome:?}", vector.title));
        }
    }
    assert!(VECTORS.proofs.len() >= 150);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn target_uris_follow_the_vectors() {
    for UriVector { left, right, equal } in &VECTORS.uris {
        let [one, other] = [left, right].map(|uri| TargetUri::parse(uri).unwrap());
        assert_eq!(one == other, *equal, "{left} {right}");
        assert_eq!(one.is(right), *equal, "{left} {right}");
        assert_eq!(other.is(left), *equal, "{left} {right}");
    }
}

#[test]
fn nonces_follow_the_vectors() {
    for vector in &VECTORS.nonces {
        let nonces = vector.keys.nonces();
        let verdict = match nonces.check(vector.nonce.as_deref(), UnixSeconds(vector.now)) {
            Ok(NonceAge::Fresh) => "fresh",
            Ok(NonceAge::Ageing) => "ageing",
            Err(NonceError::Missing) => "missing",
            Err(NonceError::Unknown) => "unknown",
            Err(NonceError::Expired) => "expired",
        };
        assert_eq!(verdict, vector.verdict, "{}", vector.title);
        if let Some(issued) = vector.issued {
            assert_eq!(
                vector.nonce,
                Some(nonces.issue(UnixSeconds(issued))),
                "{}",
                vector.title
            );
        }
    }
}

#[test]
fn keys_of_nonces_are_not_shown() {
    let nonces = Nonces::new(NonceKey::new([0xab; 32]), Duration::from_secs(1));
    let shown = format!("{nonces:?}").to_lowercase();
    assert!(!shown.contains("171") && !shown.contains("ab,"), "{shown}");
}

const NOW: i64 = 1_800_000_000;
const TOKEN: &str = "token";
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());
static URI: LazyLock<TargetUri> = LazyLock::new(|| TargetUri::parse("https://mcp.example/mcp").unwrap());

fn sign(claims: &Value) -> String {
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.public_jwk()});
    let [header, claims] = [&header, claims].map(|part| base64url::encode(part.to_string().as_bytes()));
    let signature = KEY.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    format!("{header}.{claims}.{}", base64url::encode(&signature))
}

fn claims(jti: &str, iat: i64) -> Value {
    json!({"jti": jti, "htm": "POST", "htu": URI.as_str(), "iat": iat, "ath": access_token_hash(TOKEN)})
}

fn verify(proof: &str, now: i64) -> Result<Proof, ProofError> {
    let request = ProofContext {
        method: "POST",
        uri: &URI,
        access_token: Some(TOKEN),
        nonces: None,
    };
    ProofRules::default().verify(proof, &request, UnixSeconds(now))
}

#[test]
fn a_proof_that_begins_later_is_of_the_future() {
    let from = |nbf: i64| {
        let mut claims = claims("a", NOW);
        claims["nbf"] = json!(nbf);
        verify(&sign(&claims), NOW).map(drop)
    };
    let ahead = i64::try_from(ProofRules::default().max_ahead.as_secs()).unwrap();
    for nbf in [0, NOW, NOW + ahead] {
        assert_eq!(from(nbf), Ok(()), "{nbf}");
    }
    assert_eq!(from(NOW + ahead + 1), Err(ProofError::FromTheFuture));
}

/// SEP-1932.
#[test]
fn a_content_digest_is_of_the_body_or_the_proof_is_of_another_request() {
    const BODY: &[u8] = b"{\"hello\": \"world\"}\n";
    const RIGHT: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const OTHER: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let content = |digest: Option<&str>, body: &[u8], required: bool| {
        let mut claims = claims("a", NOW);
        if let Some(digest) = digest {
            claims["content_digest"] = json!(digest);
        }
        verify(&sign(&claims), NOW).unwrap().check_content(body, required)
    };
    for required in [false, true] {
        for right in [
            RIGHT.to_owned(),
            format!("sha-512=:AAAA:, {RIGHT}"),
            format!("{RIGHT},{RIGHT}"),
        ] {
            assert_eq!(content(Some(&right), BODY, required), Ok(()), "{right}");
        }
        for wrong in [
            OTHER.to_owned(),
            format!("{RIGHT},{OTHER}"),
            format!("{OTHER}, {RIGHT}"),
            "sha-512=:AAAA:".to_owned(),
            RIGHT.replace(':', ""),
            String::new(),
        ] {
            let outcome = content(Some(&wrong), BODY, required);
            assert_eq!(outcome, Err(ProofError::Content), "{wrong}");
        }
        assert_eq!(content(Some(RIGHT), b"", required), Err(ProofError::Content));
        assert_eq!(content(None, b"", required), Ok(()));
    }
    assert_eq!(content(None, BODY, false), Ok(()));
    assert_eq!(content(None, BODY, true), Err(ProofError::Content));
}

#[test]
fn a_target_is_an_http_uri() {
    for text in [
        "ftp://mcp.example/mcp",
        "file:///mcp",
        "urn:mcp",
        "ws://mcp.example/mcp",
    ] {
        assert!(TargetUri::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_escape_that_counts_is_kept() {
    let uri = TargetUri::parse("https://mcp.example/a%2fb").unwrap();
    assert_eq!(uri.as_str(), "https://mcp.example/a%2Fb");
    assert!(uri.is("https://mcp.example/a%2Fb"));
    for other in [
        "https://mcp.example/a2Fb",
        "https://mcp.example/a/b",
        "https://mcp.example/a%252Fb",
    ] {
        assert!(!uri.is(other), "{other}");
    }
}

/// DPOP-011, DPOP-019: what is remembered is key and `jti`, whatever else is in the proof.
#[test]
fn the_replay_id_is_of_key_and_jti_alone() {
    let id = |proof: &str| verify(proof, NOW).unwrap().replay_id();
    let one = id(&sign(&claims("a", NOW)));
    assert_eq!(
        one,
        id(&sign(&claims("a", NOW - 1))),
        "another signature, another time"
    );
    assert_ne!(one, id(&sign(&claims("b", NOW))));
    let other_keys: Vec<_> = VECTORS
        .proofs
        .iter()
        .filter_map(|vector| vector.verify().ok())
        .filter(|proof| proof.jti() == "-BwC3ESc6acc2lTc")
        .collect();
    for one in &other_keys {
        for other in &other_keys {
            let same_key = one.key_thumbprint() == other.key_thumbprint();
            assert_eq!(one.replay_id() == other.replay_id(), same_key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_proof_panic(text in any::<String>(), at in any::<prop::sample::Index>(), byte in any::<char>()) {
        prop_assert!(verify(&text, NOW).is_err());
        // One character of a good proof changed: never accepted, unless it was changed into itself.
        let good = sign(&claims("a", NOW));
        let at = at.index(good.len());
        let changed = format!("{}{byte}{}", &good[..at], &good[at + 1..]);
        prop_assert_eq!(verify(&changed, NOW).is_ok(), changed == good);
    }

    #[test]
    fn no_claims_make_a_proof_panic(jti in any::<String>(), htm in any::<String>(), htu in any::<String>(), iat in any::<f64>(), now in any::<i64>()) {
        let proof = sign(&json!({"jti": jti, "htm": htm, "htu": htu, "iat": iat, "ath": access_token_hash(TOKEN)}));
        prop_assert!(verify(&proof, now).is_err());
    }

    /// The window is the rule, and a proof is acceptable exactly until the second that it names itself.
    #[test]
    fn a_proof_is_acceptable_within_its_window(age in -400_i64..400) {
        let proof = sign(&claims("a", NOW - age));
        let outcome = verify(&proof, NOW);
        prop_assert_eq!(outcome.is_ok(), (-60..=300).contains(&age));
        if let Ok(accepted) = outcome {
            let until = accepted.acceptable_until().seconds();
            prop_assert!(verify(&proof, until - 1).is_ok());
            prop_assert_eq!(verify(&proof, until), Err(ProofError::Stale));
        }
    }

    #[test]
    fn a_jti_is_bounded_text(jti in "[ -~]{0,300}") {
        let fits = !jti.is_empty() && jti.len() <= MAX_JTI_BYTES;
        let outcome = verify(&sign(&claims(&jti, NOW)), NOW);
        prop_assert_eq!(outcome.is_ok(), fits);
    }

    #[test]
    fn the_normal_form_of_a_uri_is_one(path in "(/([a-zA-Z0-9.~;:-]|%2[eEfF0]|%[46][0-9a-f]|\\.\\.|\\.){0,5}){0,5}", query in "(\\?[a-z/.]{0,5})?(#[a-z]{0,3})?") {
        let uri = TargetUri::parse(&format!("HTTPS://MCP.example:443{path}{query}")).unwrap();
        let again = TargetUri::parse(uri.as_str()).unwrap();
        prop_assert_eq!(&again, &uri, "normalising is done once");
        let without_query = format!("https://mcp.example{path}");
        prop_assert!(uri.is(&without_query));
        // A second opinion: what a browser's parser makes of the path. It leaves escapes as they are, but for dots.
        let browser = url::Url::parse(uri.as_str()).unwrap();
        prop_assert_eq!(browser.as_str(), uri.as_str());
    }

    #[test]
    fn a_nonce_lives_as_long_as_it_says(key in any::<[u8; 32]>(), issued in -10_000_i64..10_000_000_000, age in -700_i64..700, rotations in 0_u8..3) {
        let mut nonces = Nonces::new(NonceKey::new(key), Duration::from_mins(5));
        let nonce = nonces.issue(UnixSeconds(issued));
        for rotation in 0..rotations {
            let mut next = key;
            next[0] ^= rotation + 1;
            nonces.rotate(NonceKey::new(next));
        }
        let verdict = nonces.check(Some(&nonce), UnixSeconds(issued + age));
        let expected = match (rotations, age) {
            (2.., _) => Err(NonceError::Unknown),
            (_, ..-300 | 301..) => Err(NonceError::Expired),
            (0, ..=150) => Ok(NonceAge::Fresh),
            _ => Ok(NonceAge::Ageing),
        };
        prop_assert_eq!(verdict, expected);
    }

    #[test]
    fn no_text_is_a_nonce(text in any::<String>(), key in any::<[u8; 32]>()) {
        let nonces = Nonces::new(NonceKey::new(key), Duration::from_mins(5));
        prop_assert_eq!(nonces.check(Some(&text), UnixSeconds(NOW)), Err(NonceError::Unknown));
    }
}
