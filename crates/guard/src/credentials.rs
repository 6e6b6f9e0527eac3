//! The access token in a request (RFC 6750 §2.1, RFC 9110 §11.6.2).

use std::fmt;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};

use crate::fields::{Field, Fields};

/// What a request brings along.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials<'a> {
    /// Nothing that this server takes: no header, or another scheme.
    None,
    /// `Authorization: Bearer …`
    Bearer(Token<'a>),
    /// `Authorization: DPoP …` (RFC 9449 §7.1)
    Dpop(Token<'a>),
    /// A scheme that this server takes, and nothing after it.
    Empty,
    /// RFC 6750 §3.1 `invalid_request`: a repeated or malformed header, or more than one way at a time.
    Malformed,
}

/// What stands in the place of a token. Whether it has the form of one is only looked at when it is to be read: the bytes of
/// a token that was verified before need not be looked at again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The token, if it has the form of one (`b64token` of RFC 6750 §2.1).
    pub(crate) fn text(self) -> Option<&'a str> {
        is_token(self.0).then(|| str::from_utf8(self.0).ok()).flatten()
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Reads the `Authorization` header. Tokens anywhere else do not count (OAuth 2.1 §5.1), and beside the header
/// they are an error. `dpop` says whether the scheme `DPoP` is known.
pub(crate) fn read<'a>(fields: &Fields<'a>, uri: &Uri, dpop: bool) -> Credentials<'a> {
    let value = match fields.authorization {
        Field::Absent => return Credentials::None,
        Field::Once(value) => value,
        Field::Repeated(_) => return Credentials::Malformed,
    };
    let value = value.as_bytes();
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t' | b','));
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    let presented = if scheme.eq_ignore_ascii_case(b"Bearer") {
        Credentials::Bearer
    } else if dpop && scheme.eq_ignore_ascii_case(b"DPoP") {
        Credentials::Dpop
    } else if value.is_ascii() {
        return Credentials::None;
    } else {
        return Credentials::Malformed;
    };
    // HTTP takes a space at the end off.
    let token = if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(b" ")
    };
    match token {
        Some(token) if has_other_token(token, fields, uri) => Credentials::Malformed,
        Some(b"") => Credentials::Empty,
        Some(token) => presented(Token(token)),
        None => Credentials::Malformed,
    }
}

/// Takes the token out of the headers, wherever it is: gateways copy it into headers of their own
/// (`X-Forwarded-Access-Token`, cookies), and nothing behind the guard may pass it on.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let Some(credentials) = headers.remove(AUTHORIZATION) else {
        return;
    };
    let credentials = credentials.as_bytes();
    let token_start = credentials
        .iter()
        .position(|byte| *byte == b' ')
        .map_or(0, |space| space + 1);
    let token = &credentials[token_start..];
    if token.is_empty() {
        return;
    }
    let copies: Vec<_> = headers
        .iter()
        .filter(|(_, value)| holds(value.as_bytes(), token))
        .map(|(name, _)| name.clone())
        .collect();
    for name in copies {
        headers.remove(name);
    }
}

/// Whether a copy of the token is in a value. Shorter than any real one, it can stand in a word by chance (`test` in
/// `mcp.test.example`), and only counts as a word by itself.
fn holds(value: &[u8], token: &[u8]) -> bool {
    let in_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte));
    let mut parts = value.windows(token.len()).enumerate();
    parts.any(|(start, part)| {
        let stands_alone =
            || !in_word(value[..start].last()) && !in_word(value[start + part.len()..].first());
        part == token && (token.len() >= TELLING || stands_alone())
    })
}

/// From this length on, bytes that equal the token are a copy of it wherever they are.
const TELLING: usize = 16;

/// `b64token` of RFC 6750 §2.1.
#[expect(clippy::needless_bitwise_bool, reason = "without branches, see below")]
fn is_token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &token[..token.len() - padding];
    // Without branches and to the end, in few comparisons: compilers make vector instructions of it, and this is done with
    // every request.
    !body.is_empty()
        && body.iter().fold(true, |all, byte| {
            let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
            // `-`, `.`, `/` and the digits lie beside each other.
            let digit = byte.wrapping_sub(b'-') <= b'9' - b'-';
            all & (letter | digit | (*byte == b'_') | (*byte == b'~') | (*byte == b'+'))
        })
}

/// A token in the query (this one under any name: the query goes on to the service), or a body that could hold one.
fn has_other_token(token: &[u8], fields: &Fields<'_>, uri: &Uri) -> bool {
    let in_query = uri.query().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "access_token" || (!token.is_empty() && value.as_bytes() == token))
    });
    let form = fields
        .content_type
        .first()
        .filter(|content_type| *content_type != "application/json")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|content_type| {
            let essence = content_type.split(';').next().unwrap_or_default();
            essence
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    in_query || form
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(values: &[&'static [u8]], uri: &'static str) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        match read(&Fields::of(&headers), &Uri::from_static(uri), false) {
            Credentials::Bearer(token) => match token.text() {
                Some(token) => format!("Bearer({token:?})"),
                None => "Malformed".to_owned(),
            },
            other => format!("{other:?}"),
        }
    }

    /// RS-004 and RS-005 of the catalogue.
    #[test]
    fn exactly_one_well_formed_bearer_token_counts() {
        assert_eq!(with(&[b"Bearer a.b-c_~+/=="], "/mcp"), "Bearer(\"a.b-c_~+/==\")");
        assert_eq!(with(&[b"bEARER x"], "/mcp"), "Bearer(\"x\")");
        assert_eq!(with(&[], "/mcp"), "None");
        for nothing in [&b"Basic YTpi"[..], b"DPoP x", b"", b"Bearerx", b"x"] {
            assert_eq!(with(&[nothing], "/mcp"), "None", "{nothing:?}");
        }
        for malformed in [
            &[&b"Bearer x"[..], b"Bearer x"][..],
            &[b"Bearer x", b"Basic YTpi"],
            &[b"Bearer  x"],
            &[b"Bearer  "],
            &[b"Bearer\tx"],
            &[b"Bearer a b"],
            &[b"Bearer x, Bearer y"],
            &[b"Bearer,x"],
            &[b"Bearer x\xff"],
            &[b"Bearer =="],
            &[b"Bearer \"x\""],
        ] {
            assert_eq!(with(malformed, "/mcp"), "Malformed", "{malformed:?}");
        }
    }

    /// RFC 6750 §2.2: a form may hold an `access_token` of its own.
    #[test]
    fn a_form_beside_the_header_is_an_error() {
        let with_type = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
            headers.insert("content-type", HeaderValue::from_static(content_type));
            let credentials = read(&Fields::of(&headers), &Uri::from_static("/mcp"), false);
            matches!(credentials, Credentials::Bearer(_))
        };
        for other in [
            "application/json",
            "text/plain",
            "application/x-www-form-urlencoded-not",
        ] {
            assert!(with_type(other), "{other}");
        }
        for form in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded",
            "application/x-www-form-urlencoded;charset=utf-8",
            "application/x-www-form-urlencoded ; charset=utf-8",
        ] {
            assert!(!with_type(form), "{form}");
        }
    }

    #[test]
    fn dpop_is_a_scheme_only_where_proofs_are_taken_and_others_never_are() {
        let read_as = |value: &'static [u8], dpop: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            format!(
                "{:?}",
                read(&Fields::of(&headers), &Uri::from_static("/mcp"), dpop)
            )
        };
        assert!(read_as(b"dPoP x", true).starts_with("Dpop"));
        assert_eq!(read_as(b"DPoP x", false), "None");
        for dpop in [false, true] {
            for other in [&b"Basic YTpi"[..], b"DPoPx x", b"Dpo x", b"Digest x"] {
                assert_eq!(read_as(other, dpop), "None", "{other:?}");
            }
            for unreadable in [&b"Basic \xff"[..], b"\xc3\xa9", b"DPo\xff x"] {
                assert_eq!(read_as(unreadable, dpop), "Malformed", "{unreadable:?}");
            }
        }
    }

    #[test]
    fn every_other_character_ends_a_token() {
        let value = |byte: u8| [&b"Bearer a"[..], &[byte], b"b"].concat();
        for byte in (0x21..0x7f_u8).chain([0x80, 0xff]) {
            let of_token = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            let value: &'static [u8] = value(byte).leak();
            let read = with(&[value], "/mcp");
            assert_eq!(read.starts_with("Bearer"), of_token, "{byte:#x}");
        }
    }

    /// RS-004: an unset variable in a client's settings. HTTP takes the space at the end off on the way.
    #[test]
    fn a_scheme_without_a_token_is_an_empty_token() {
        for empty in [&b"Bearer"[..], b"Bearer ", b"bearer"] {
            assert_eq!(with(&[empty], "/mcp"), "Empty", "{empty:?}");
        }
        assert_eq!(with(&[b"Bearer"], "/mcp?a="), "Empty");
        assert_eq!(with(&[b"Bearer"], "/mcp?access_token=x"), "Malformed");
        assert_eq!(with(&[b"Bearer", b"Bearer"], "/mcp"), "Malformed");
    }

    #[test]
    fn a_token_in_the_query_is_none_and_beside_the_header_an_error() {
        assert_eq!(with(&[], "/mcp?access_token=x"), "None");
        assert_eq!(with(&[b"Bearer x"], "/mcp?a=1&access_token=x"), "Malformed");
        assert_eq!(with(&[b"Bearer x"], "/mcp?access%5Ftoken=y"), "Malformed");
        assert_eq!(with(&[b"Bearer x"], "/mcp?t=%78"), "Malformed");
        assert_eq!(with(&[b"Bearer x"], "/mcp?a=access_token"), "Bearer(\"x\")");
    }

    /// RS-037 of the catalogue.
    #[test]
    fn copies_of_the_token_go_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer abc.def"),
            ("x-forwarded-access-token", "abc.def"),
            ("x-original-authorization", "bearer abc.def"),
            ("cookie", "a=1; token=abc.def"),
            ("x-other", "abc.de"),
            ("x-longer", "abcd.ef.abc.de"),
            ("accept", "*/*"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-longer", "x-other"]);
    }

    fn left_with(token: &str, values: &[&str]) -> Vec<usize> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        for (number, value) in values.iter().enumerate() {
            let name: http::HeaderName = format!("x-{number}").parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        strip(&mut headers);
        let is_left = |number: &usize| headers.contains_key(format!("x-{number}"));
        (0..values.len()).filter(is_left).collect()
    }

    /// Development has tokens such as `test`, which are in other words by chance.
    #[test]
    fn a_short_token_takes_no_header_along_in_which_it_is_part_of_a_word() {
        let chance = [
            "mcp.test.example",
            "application/test",
            "latest",
            "testing",
            "a/test;q=1",
            "x-test",
        ];
        assert_eq!(left_with("test", &chance), [0, 1, 2, 3, 4, 5]);
        let copies = [
            "test",
            "Bearer test",
            "a=1; token=test",
            "test; b=2",
            "\"test\"",
            "a,test,b",
            "latest, test",
        ];
        assert!(left_with("test", &copies).is_empty());
    }

    #[test]
    fn no_copy_of_a_real_token_is_left_whatever_is_around_it() {
        let token = "0123456789abcdef";
        for value in [format!("x{token}y"), format!("a.{token}.b"), token.to_owned()] {
            assert!(left_with(token, &[&value]).is_empty(), "{value}");
        }
        assert_eq!(left_with(token, &["0123456789abcde", "123456789abcdef"]), [0, 1]);
    }
}
