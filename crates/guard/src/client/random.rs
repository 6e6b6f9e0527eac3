//! Names that nobody can guess, and that are never given twice.

use std::fmt::Write as _;

use doorward_jose::base64url;

use super::error::ClientError;

/// 128 random bits as text.
pub(crate) fn id() -> Result<String, ClientError> {
    Ok(base64url::encode(&bytes()?))
}

/// A UUID, version 4 (RFC 9562 §5.4).
pub(crate) fn uuid() -> Result<String, ClientError> {
    let mut bytes = bytes()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut hex = String::with_capacity(32);
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Ok(parts.join("-"))
}

fn bytes() -> Result<[u8; 16], ClientError> {
    let mut bytes = [0; 16];
    doorward_jose::fill_random(&mut bytes).map_err(ClientError::Signing)?;
    Ok(bytes)
}
