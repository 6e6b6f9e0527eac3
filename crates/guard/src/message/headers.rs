//! The mirrored headers of the 2026-07-28 transport (SEP-2243) against the body.

use doorward_jose::base64url;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Envelope, Message, needs_target};

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The first revision whose requests mirror method and name.
const MIRRORING_SINCE: &str = "2026-07-28";

/// The headers contradict the body: JSON-RPC `-32020`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderMismatch;

/// What the headers of a request say about its message. Two values of one are a contradiction in themselves.
#[derive(Debug)]
pub(crate) struct Mirrored {
    version: Single,
    method: Single,
    name: Single,
}

type Single = Result<Option<HeaderValue>, HeaderMismatch>;

impl Mirrored {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        Self {
            version: single(headers, &PROTOCOL_VERSION),
            method: single(headers, &METHOD),
            name: single(headers, &NAME),
        }
    }

    /// Compares what the headers say with what the body says.
    ///
    /// Requests of older revisions have no mirrored headers and pass: nothing here decides by a header.
    pub(crate) fn check(&self, envelope: &Envelope) -> Result<(), HeaderMismatch> {
        let version = text(&self.version)?;
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
        self.check_message(version, message)
    }

    fn check_message(&self, version: &str, message: &Message) -> Result<(), HeaderMismatch> {
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
        match text(&self.method)? {
            Some(header) if header == method => {}
            // Clients learn the revision by `initialize`, so only a contradiction counts there.
            None if method == "initialize" => {}
            _ => return Err(HeaderMismatch),
        }
        match (text(&self.name)?, message.target.as_deref()) {
            (Some(header), Some(target)) if decode(header)? != target => Err(HeaderMismatch),
            (None, Some(_)) if needs_target(method) => Err(HeaderMismatch),
            _ => Ok(()),
        }
    }
}

fn single(headers: &HeaderMap, name: &HeaderName) -> Single {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(HeaderMismatch),
        None => Ok(first.cloned()),
    }
}

fn text(header: &Single) -> Result<Option<&str>, HeaderMismatch> {
    let value = header.as_ref().map_err(|mismatch| *mismatch)?;
    value
        .as_ref()
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
