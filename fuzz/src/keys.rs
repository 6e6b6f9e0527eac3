//! Keys and tokens.

use doorward_jose::{Algorithm, SigningKey, base64url};

/// A PKCS#8 document of Ed25519 up to the key itself (RFC 8410 §7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key that is the same in every run. EdDSA, whose signatures are as well.
pub fn key() -> SigningKey {
    let document = [&PKCS8[..], &[7; 32]].concat();
    SigningKey::from_pkcs8(Algorithm::EdDsa, &document).expect("an Ed25519 key")
}

/// A compact serialisation of any header over any payload.
pub fn signed(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(input.as_bytes()).expect("signed");
    format!("{input}.{}", base64url::encode(&signature))
}

/// Puts one text in the place of another, which need not be UTF-8 around it.
pub fn replaced(input: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.windows(word.len()).position(|window| window == word) {
        output.extend_from_slice(&rest[..at]);
        output.extend_from_slice(by);
        rest = &rest[at + word.len()..];
    }
    output.extend_from_slice(rest);
    output
}
