//! The mirrored headers of the 2026-07-28 transport (SEP-2243) against the body.

use doorward_jose::base64url;
use http::HeaderValue;

use super::{Envelope, Message, needs_target};
use crate::fields::{Field, Fields};

/// The first revision whose requests mirror method and name.
const MIRRORING_SINCE: &str = "2026-07-28";

/// The headers contradict the body: JSON-RPC `-32020`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderMismatch;

/// What the headers of a request say about its message. Two values of one are a contradiction in themselves.
#[derive(Debug)]
pub(crate) enum Mirrored {
    /// Nothing: the request is of an older revision.
    Nothing,
    /// The revision, in a way that nobody can read.
    Unreadable,
    Announced(Box<Announced>),
}

/// What a request of the mirroring revisions says.
#[derive(Debug)]
pub(crate) struct Announced {
    version: String,
    method: Single,
    name: Single,
}

type Single = Result<Option<HeaderValue>, HeaderMismatch>;

impl Mirrored {
    pub(crate) fn read(fields: &Fields<'_>) -> Self {
        let version = match fields.protocol_version {
            Field::Absent => return Self::Nothing,
            Field::Repeated(_) => return Self::Unreadable,
            Field::Once(version) => version.to_str(),
        };
        match version {
            Err(_) => Self::Unreadable,
            Ok(version) if version < MIRRORING_SINCE => Self::Nothing,
            Ok(version) => Self::Announced(Box::new(Announced {
                version: version.to_owned(),
                method: single(fields.method),
                name: single(fields.name),
            })),
        }
    }

    /// Compares what the headers say with what the body says.
    ///
    /// Requests of older revisions have no mirrored headers and pass: nothing here decides by a header.
    pub(crate) fn check(&self, envelope: &Envelope) -> Result<(), HeaderMismatch> {
        let announced = match self {
            Self::Announced(announced) => announced,
            Self::Unreadable => return Err(HeaderMismatch),
            Self::Nothing => {
                // A body of the mirroring revision that comes without its headers: whoever routes by them sees another
                // request.
                let mut in_bodies = envelope
                    .messages
                    .iter()
                    .filter_map(|m| m.protocol_version.as_deref());
                return if in_bodies.any(|version| version >= MIRRORING_SINCE) {
                    Err(HeaderMismatch)
                } else {
                    Ok(())
                };
            }
        };
        match envelope.messages.as_slice() {
            [message] if !envelope.batch => announced.check(message),
            _ => Err(HeaderMismatch),
        }
    }
}

impl Announced {
    fn check(&self, message: &Message<'_>) -> Result<(), HeaderMismatch> {
        let Some(method) = message.method.as_deref() else {
            return Ok(());
        };
        if message
            .protocol_version
            .as_deref()
            .is_some_and(|in_body| in_body != self.version)
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

fn single(field: Field<'_>) -> Single {
    match field {
        Field::Absent => Ok(None),
        Field::Once(value) => Ok(Some(value.clone())),
        Field::Repeated(_) => Err(HeaderMismatch),
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
