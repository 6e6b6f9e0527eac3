//! The header fields of a request that decide about it, found in one pass: looking for each by its name costs more.

use http::{HeaderMap, HeaderValue};

/// How often a field is there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Field<'h> {
    #[default]
    Absent,
    Once(&'h HeaderValue),
    /// Several times; the first value.
    Repeated(&'h HeaderValue),
}

/// The fields by their names.
#[derive(Debug, Default)]
pub(crate) struct Fields<'h> {
    pub(crate) authorization: Field<'h>,
    pub(crate) dpop: Field<'h>,
    pub(crate) origin: Field<'h>,
    pub(crate) access_control_request_method: Field<'h>,
    pub(crate) content_type: Field<'h>,
    pub(crate) content_encoding: Field<'h>,
    pub(crate) content_length: Field<'h>,
    pub(crate) session_id: Field<'h>,
    pub(crate) last_event_id: Field<'h>,
    pub(crate) protocol_version: Field<'h>,
    pub(crate) method: Field<'h>,
    pub(crate) name: Field<'h>,
}

impl<'h> Fields<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "authorization" => &mut fields.authorization,
                "dpop" => &mut fields.dpop,
                "origin" => &mut fields.origin,
                "access-control-request-method" => &mut fields.access_control_request_method,
                "content-type" => &mut fields.content_type,
                "content-encoding" => &mut fields.content_encoding,
                "content-length" => &mut fields.content_length,
                "mcp-session-id" => &mut fields.session_id,
                "last-event-id" => &mut fields.last_event_id,
                "mcp-protocol-version" => &mut fields.protocol_version,
                "mcp-method" => &mut fields.method,
                "mcp-name" => &mut fields.name,
                _ => continue,
            };
            *field = match *field {
                Field::Absent => Field::Once(value),
                Field::Once(first) | Field::Repeated(first) => Field::Repeated(first),
            };
        }
        fields
    }
}

impl<'h> Field<'h> {
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The first value.
    pub(crate) fn first(self) -> Option<&'h HeaderValue> {
        match self {
            Self::Absent => None,
            Self::Once(value) | Self::Repeated(value) => Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_however_it_is_written_and_counted() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Content-Type", "a"),
            ("x-other", "b"),
            ("MCP-Session-Id", "c"),
            ("content-type", "d"),
            ("content-type", "e"),
        ] {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        let fields = Fields::of(&headers);
        let (first, only) = (HeaderValue::from_static("a"), HeaderValue::from_static("c"));
        assert_eq!(fields.content_type, Field::Repeated(&first));
        assert_eq!(fields.session_id, Field::Once(&only));
        assert!(!fields.dpop.is_there());
    }
}
