//! Any text as a token: no signature that verifies, one spelling, the same header whether it is remembered or not, and
//! nothing of the token in `Debug`.
#![no_main]

use std::sync::LazyLock;

use doorward_fuzz::keys::key;
use doorward_jose::{HeaderMemo, HmacAlgorithm, Jws, SharedSecret, SigningKey, base64url};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> = LazyLock::new(key);
static SECRET: LazyLock<SharedSecret> =
    LazyLock::new(|| SharedSecret::new(HmacAlgorithm::Hs256, b"a secret of the tests alone, 32 bytes"));
/// Of all tokens of a run.
static MEMO: LazyLock<HeaderMemo> = LazyLock::new(HeaderMemo::default);

fuzz_target!(|token: &str| {
    if let Ok(bytes) = base64url::decode(token) {
        assert_eq!(base64url::encode(&bytes), token);
    }
    assert_eq!(
        base64url::decode(&base64url::encode(token.as_bytes())).as_deref(),
        Ok(token.as_bytes())
    );
    let parsed = Jws::parse(token);
    let with_memo = Jws::parse_with_memo(token, &MEMO);
    assert_eq!(parsed.is_ok(), with_memo.is_ok());
    if let (Ok(parsed), Ok(with_memo)) = (&parsed, &with_memo) {
        assert_eq!(parsed.header(), with_memo.header());
        assert_eq!(parsed.unverified_payload(), with_memo.unverified_payload());
        MEMO.remember(parsed);
        let remembered = Jws::parse_with_memo(token, &MEMO).expect("it was parsed before");
        assert_eq!(parsed.header(), remembered.header());
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
    }
    for jws in [parsed, Jws::parse_with_embedded_key(token)]
        .into_iter()
        .flatten()
    {
        let _ = jws.peek_issuer();
        assert!(jws.verify(KEY.public_jwk()).is_err(), "nobody signed this");
        assert!(token.len() < 32 || !format!("{jws:?}").contains(token));
    }
    assert!(SECRET.verify(token).is_err(), "nobody signed this");
});
