//! The encoding of a body.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ToStrError};

use crate::fields::{Field, Fields};

/// Whether the headers say nothing else than UTF-8 (RFC 8259 §8.1). The guard reads the body so, and nobody behind it may
/// be told to read it as something else: in another character set, or decompressed, the same bytes can be another message.
pub(crate) fn is_plain(fields: &Fields<'_>, headers: &HeaderMap) -> bool {
    if let (Field::Absent, Field::Once(content_type)) = (fields.content_encoding, fields.content_type)
        && content_type == "application/json"
    {
        return true;
    }
    let texts = |name| headers.get_all(name).iter().map(http::HeaderValue::to_str);
    texts(CONTENT_ENCODING).all(is_identity) && texts(CONTENT_TYPE).all(is_utf8)
}

fn is_identity(encoding: Result<&str, ToStrError>) -> bool {
    encoding.is_ok_and(|encoding| encoding.trim().eq_ignore_ascii_case("identity"))
}

fn is_utf8(content_type: Result<&str, ToStrError>) -> bool {
    content_type.is_ok_and(|content_type| {
        content_type.split(';').skip(1).all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let charset = value.trim().trim_matches('"');
            !name.trim().eq_ignore_ascii_case("charset")
                || ["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|known| charset.eq_ignore_ascii_case(known))
        })
    })
}
