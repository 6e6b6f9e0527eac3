//! The credentials of HTTP Basic (RFC 7617), as OAuth writes them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use doorward_oauth::parameters::Parameters;

/// Some libraries leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Identifier and secret. RFC 6749 §2.3.1: they are form-encoded before they are joined.
pub(super) fn decode(credentials: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(BASE64.decode(credentials).ok()?).ok()?;
    let (client_id, client_secret) = decoded.split_once(':')?;
    let client_id = form_decode(client_id).filter(|client_id| !client_id.is_empty())?;
    Some((client_id, form_decode(client_secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    // What is encoded as itself, as our own identifiers and secrets are.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    // Every byte is looked at, without a branch for each.
    if !text.is_empty() && text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return Some(text.to_owned());
    }
    let parameters = Parameters::parse(format!("text={text}").as_bytes()).ok()?;
    let mut pairs = parameters.iter();
    match (pairs.next(), pairs.next()) {
        (Some((_, text)), None) => Some(text.to_owned()),
        _ => None,
    }
}
