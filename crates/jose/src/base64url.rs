//! Base64url without padding (RFC 7515 §2).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::JoseError;

/// Beside the signature, decoding is a good part of what reading a token costs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static DECODER: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static DECODER: &base64::engine::GeneralPurpose = &URL_SAFE_NO_PAD;

/// Encodes without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes without padding onto the end of `output`.
pub(crate) fn encode_onto(bytes: &[u8], output: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, output);
}

/// Decodes the canonical form alone: no padding, no white space, no unused bits set. Every other spelling of the same
/// bytes is [`JoseError::Malformed`].
pub fn decode(text: &str) -> Result<Vec<u8>, JoseError> {
    DECODER.decode(text).map_err(|_| JoseError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_round_trips() {
        assert_eq!(encode(&[3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(decode("A-z_4ME"), Ok(vec![3, 236, 255, 224, 193]));
        assert_eq!(decode(""), Ok(vec![]));
    }

    /// The vector instructions begin with longer texts.
    #[test]
    fn every_character_is_read_at_every_place() {
        let letters = "QUJD".repeat(25);
        for byte in 0..128_u8 {
            for place in 0..letters.len() {
                let mut text = letters.clone().into_bytes();
                text[place] = byte;
                let text = String::from_utf8(text).unwrap();
                for part in [&text[..], &text[..=place], &text[place..]] {
                    assert_eq!(decode(part).ok(), URL_SAFE_NO_PAD.decode(part).ok(), "{part:?}");
                }
            }
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "A-z_4ME=",
            "A-z_4MF",
            "A+z/4ME",
            "A-z_ 4ME",
            "A-z_4ME\n",
            "A-z_4",
            "é",
        ] {
            assert_eq!(decode(text), Err(JoseError::Malformed), "{text:?}");
        }
    }
}
