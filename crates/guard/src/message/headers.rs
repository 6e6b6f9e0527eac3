//! The mirrored headers of the 2026-07-28 transport (SEP-2243) against the body.

use doorward_jose::base64url;
use http::{HeaderMap, HeaderName};

use super::{Envelope, Message, needs_target};

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The first revision whose requests mirror method and name.
const MIRRORING_SINCE: &str = "2026-07-28";

/// The headers contradict the body: JSON-RPC `-32020`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeaderMismatch;

/// Compares what the headers say with what the body says.
///
/// Requests of older revisions have no mirrored headers and pass: nothing here decides by a header.
pub(crate) fn check(headers: &HeaderMap, envelope: &Envelope) -> Result<(), HeaderMismatch> {
    let version = single(headers, &PROTOCOL_VERSION)?;
    let Some(version) = version.filter(|version| *version >= MIRRORING_SINCE) else {
        // A body of the mirroring revision that comes without its headers: whoever routes by them sees another request.
        let mut in_bodies = envelope
            .messages
            .iter()
            .filter_map(|m| m.protocol_version.as_deref());
        return if in_bodies.any(|version| version >= MIRRORING_SINCE) {
            Err(HeaderMismatch)
        } else {
            Ok(())
        };
    };
    let [message] = envelope.messages.as_slice() else {
        return Err(HeaderMismatch);
    };
    if envelope.batch {
        return Err(HeaderMismatch);
    }
    check_message(headers, version, message)
}

fn check_message(headers: &HeaderMap, version: &str, message: &Message) -> Result<(), HeaderMismatch> {
    let Some(method) = message.method.as_deref() else {
        return Ok(());
    };
    if message
        .protocol_version
        .as_deref()
        .is_some_and(|in_body| in_body != version)
    {
        return Err(HeaderMismatch);
    }
    match single(headers, &METHOD)? {
        Some(header) if header == method => {}
        // Clients learn the revision by `initialize`, so only a contradiction counts there.
        None if method == "initialize" => {}
        _ => return Err(HeaderMismatch),
    }
    match (single(headers, &NAME)?, message.target.as_deref()) {
        (Some(header), Some(target)) if decode(header)? != target => Err(HeaderMismatch),
        (None, Some(_)) if needs_target(method) => Err(HeaderMismatch),
        _ => Ok(()),
    }
}

/// The only value of a header; two are a contradiction in themselves.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, HeaderMismatch> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(HeaderMismatch);
    }
    first
        .map(|value| value.to_str().map_err(|_| HeaderMismatch))
        .transpose()
}

/// Undoes the `=?base64?…?=` form, in which names travel that are no header text.
fn decode(value: &str) -> Result<String, HeaderMismatch> {
    let Some(encoded) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Ok(value.to_owned());
    };
    if encoded.contains(['-', '_']) {
        return Err(HeaderMismatch);
    }
    let unpadded = encoded.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let bytes = base64url::decode(&unpadded).map_err(|_| HeaderMismatch)?;
    String::from_utf8(bytes).map_err(|_| HeaderMismatch)
}
