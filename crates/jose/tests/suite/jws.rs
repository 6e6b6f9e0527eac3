//! What a token must look like.

use std::collections::BTreeMap;

use doorward_jose::{Algorithm, HeaderMemo, JoseError, Jws, MAX_JWS_BYTES, base64url, sign};
use serde_json::{Value, json};

use crate::support::{accepts, key, token};

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;

#[test]
fn the_header_and_the_claims_come_back() {
    let key = key(Algorithm::Es256);
    let text = sign(key, "at+jwt", &json!({ "iss": "https://as.example", "n": 1 })).unwrap();
    let jws = Jws::parse(&text).unwrap();
    assert_eq!(jws.header().algorithm, Algorithm::Es256);
    assert_eq!(jws.header().typ.as_deref(), Some("at+jwt"));
    assert_eq!(
        jws.header().key_id.as_deref(),
        Some(key.public_jwk().thumbprint())
    );
    assert_eq!(jws.header().jwk, None);
    assert_eq!(jws.peek_issuer().as_deref(), Some("https://as.example"));
    let claims: BTreeMap<String, Value> = jws.verify(key.public_jwk()).unwrap().claims().unwrap();
    assert_eq!(claims["n"], 1);
}

#[test]
fn verification_uses_the_bytes_as_received() {
    let key = key(Algorithm::Es256);
    let text = token(
        key,
        "{\n  \"typ\" : \"x\",\t\"alg\" : \"ES256\" }",
        b"{ \"a\" :\n 1 }",
    );
    assert_eq!(accepts(&text, key), Ok(b"{ \"a\" :\n 1 }".to_vec()));
}

#[test]
fn only_three_canonical_parts_are_a_token() {
    let key = key(Algorithm::Es256);
    let good = token(key, HEADER, b"{}");
    assert!(accepts(&good, key).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{good}"),
        format!("{header}.{payload}.{signature}.e30.e30"),
        format!("{good}="),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.e31.{signature}"), // '}' with unused bits set
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        format!(
            r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
    ] {
        assert!(matches!(accepts(&bad, key), Err(JoseError::Malformed)), "{bad}");
    }
}

#[test]
fn the_size_limit_is_exact() {
    let key = key(Algorithm::Es256);
    let shortest = token(key, HEADER, b"").len();
    let room = (MAX_JWS_BYTES - shortest) / 4 * 3;
    let fits = token(key, HEADER, &vec![b' '; room]);
    assert!(fits.len() > MAX_JWS_BYTES - 4 && fits.len() <= MAX_JWS_BYTES);
    assert!(accepts(&fits, key).is_ok());
    let too_large = token(key, HEADER, &vec![b' '; room + 3]);
    assert_eq!(Jws::parse(&too_large).unwrap_err(), JoseError::TooLarge);
}

#[test]
fn a_header_that_is_not_strict_json_is_refused() {
    let key = key(Algorithm::Es256);
    for (header, fault) in [
        (r#"{"alg":"ES256","alg":"ES256"}"#, JoseError::DuplicateMember),
        (r#"{"alg":"ES256","\u0061lg":"none"}"#, JoseError::DuplicateMember),
        (
            r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
            JoseError::DuplicateMember,
        ),
        (r#"{"alg":"ES256","x":{"y":1,"y":1}}"#, JoseError::DuplicateMember),
        (r#"["ES256"]"#, JoseError::Malformed),
        (r#""ES256""#, JoseError::Malformed),
        ("", JoseError::Malformed),
        ("{}", JoseError::Malformed),
        (r#"{"alg":null}"#, JoseError::Malformed),
        (r#"{"alg":["ES256"]}"#, JoseError::Malformed),
        (r#"{"alg":"ES256"}{}"#, JoseError::Malformed),
        (r#"{"alg":"ES256",}"#, JoseError::Malformed),
        (r"{'alg':'ES256'}", JoseError::Malformed),
        ("\u{feff}{\"alg\":\"ES256\"}", JoseError::Malformed),
        (r#"{"alg":"ES256"/* comment */}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","x":"\ud800"}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","x\u0000":1}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","typ":1}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","kid":123}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","kid":{}}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","kid":[]}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","kid":null}"#, JoseError::Malformed),
        (r#"{"alg":"ES256","kid":""}"#, JoseError::Malformed),
    ] {
        assert_eq!(accepts(&token(key, header, b"{}"), key), Err(fault), "{header}");
    }
}

#[test]
fn every_extension_and_every_foreign_kind_of_token_is_refused() {
    let key = key(Algorithm::Es256);
    for member in [
        r#""crit":["x"],"x":1"#,
        r#""crit":["x"]"#,
        r#""crit":[]"#,
        r#""crit":"exp""#,
        r#""crit":["alg"]"#,
        r#""crit":["x","x"]"#,
        r#""crit":["b64"],"b64":true"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":null"#,
        r#""b64":true"#,
    ] {
        let text = token(key, &format!(r#"{{"alg":"ES256",{member}}}"#), b"{}");
        assert_eq!(accepts(&text, key), Err(JoseError::CriticalHeader), "{member}");
    }
    for member in [
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""cty":"JWT""#,
        r#""cty":"application/jwt""#,
    ] {
        let text = token(key, &format!(r#"{{"alg":"ES256",{member}}}"#), b"{}");
        assert_eq!(accepts(&text, key), Err(JoseError::UnsupportedHeader), "{member}");
    }
    let text = token(key, r#"{"alg":"ES256","cty":"json"}"#, b"{}");
    assert_eq!(accepts(&text, key), Ok(b"{}".to_vec()));
}

#[test]
fn claims_are_a_strict_json_object() {
    let key = key(Algorithm::EdDsa);
    let claims = |payload: &[u8]| -> Result<Value, JoseError> {
        Jws::parse(&token(key, r#"{"alg":"EdDSA"}"#, payload))
            .unwrap()
            .verify(key.public_jwk())
            .unwrap()
            .claims()
    };
    assert_eq!(claims(br#"{"exp":1.5}"#), Ok(json!({ "exp": 1.5 })));
    for (payload, fault) in [
        (&br#"{"exp":1,"exp":2}"#[..], JoseError::DuplicateMember),
        (
            br#"{"aud":["a"],"act":{"sub":"x","sub":"y"}}"#,
            JoseError::DuplicateMember,
        ),
        (b"[]", JoseError::Malformed),
        (b"1", JoseError::Malformed),
        (b"", JoseError::Malformed),
        (b"{\"sub\":\"\xff\"}", JoseError::Malformed),
        (br#"{"exp":1e400}"#, JoseError::Malformed),
        (br#"{"exp":NaN}"#, JoseError::Malformed),
        (br#"{"exp":01}"#, JoseError::Malformed),
    ] {
        assert_eq!(
            claims(payload),
            Err(fault),
            "{}",
            String::from_utf8_lossy(payload)
        );
    }
}

#[test]
fn the_issuer_can_be_peeked_at_and_only_as_a_string() {
    let key = key(Algorithm::EdDsa);
    let issuer = |payload: &[u8]| {
        Jws::parse(&token(key, r#"{"alg":"EdDSA"}"#, payload))
            .unwrap()
            .peek_issuer()
    };
    assert_eq!(
        issuer(br#"{"iss":"https://a.example"}"#).as_deref(),
        Some("https://a.example")
    );
    for payload in [
        &br#"{"iss":["https://a.example"]}"#[..],
        br#"{"iss":"a","iss":"b"}"#,
        br#"{"iss":null}"#,
        b"{}",
        b"x",
    ] {
        assert_eq!(issuer(payload), None);
    }
}

#[test]
fn debug_shows_nothing_that_could_be_replayed() {
    let key = key(Algorithm::Es256);
    let text = token(key, HEADER, br#"{"sub":"ada"}"#);
    let jws = Jws::parse(&text).unwrap();
    let shown = format!("{jws:?} {:?}", jws.verify(key.public_jwk()).unwrap());
    for part in text.split('.').chain(["ada"]) {
        assert!(!shown.contains(part), "{shown}");
    }
    let signature = base64url::decode(text.rsplit('.').next().unwrap()).unwrap();
    assert!(
        !shown.contains(&format!("{}, {}", signature[0], signature[1])),
        "{shown}"
    );
}

/// A remembered header is the one that is read, and none that is written otherwise takes its place.
#[test]
fn a_remembered_header_changes_nothing() {
    let memo = HeaderMemo::default();
    let claims = serde_json::json!({ "sub": "ada" });
    for _ in 0..3 {
        for algorithm in Algorithm::ALL {
            let text = sign(key(algorithm), "at+jwt", &claims).unwrap();
            let token = Jws::parse_with_memo(&text, &memo).unwrap();
            assert_eq!(token.header(), Jws::parse(&text).unwrap().header());
            token.verify_signature(key(algorithm).public_jwk()).unwrap();
            memo.remember(&token);
        }
    }
    let text = sign(key(Algorithm::Es256), "at+jwt", &claims).unwrap();
    let (header, rest) = text.split_once('.').unwrap();
    for (changed, fault) in [
        (format!("{header}="), JoseError::Malformed),
        (format!("{header}A"), JoseError::Malformed),
        (header.to_ascii_lowercase(), JoseError::Malformed),
        (String::new(), JoseError::Malformed),
    ] {
        let token = format!("{changed}.{rest}");
        assert_eq!(
            Jws::parse_with_memo(&token, &memo).unwrap_err(),
            fault,
            "{changed}"
        );
    }
    assert!(!format!("{memo:?}").contains("ES256"));
}
