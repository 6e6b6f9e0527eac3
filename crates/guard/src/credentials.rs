//! The access token in a request (RFC 6750 §2.1, RFC 9110 §11.6.2).

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Uri};

/// What a request brings along.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials<'a> {
    /// Nothing that this server takes: no header, or another scheme.
    None,
    /// `Authorization: Bearer …`
    Bearer(&'a str),
    /// `Authorization: DPoP …` (RFC 9449 §7.1)
    Dpop(&'a str),
    /// RFC 6750 §3.1 `invalid_request`: a repeated or malformed header, or more than one way at a time.
    Malformed,
}

/// Reads the `Authorization` header. Tokens anywhere else do not count (OAuth 2.1 §5.1), and beside the header
/// they are an error. `dpop` says whether the scheme `DPoP` is known.
pub(crate) fn read<'a>(headers: &'a HeaderMap, uri: &Uri, dpop: bool) -> Credentials<'a> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Credentials::None;
    };
    if values.next().is_some() {
        return Credentials::Malformed;
    }
    let Ok(value) = value.to_str() else {
        return Credentials::Malformed;
    };
    let (scheme, rest) = match value.find([' ', '\t', ',']) {
        Some(end) => value.split_at(end),
        None => (value, ""),
    };
    let presented = if scheme.eq_ignore_ascii_case("Bearer") {
        Credentials::Bearer
    } else if dpop && scheme.eq_ignore_ascii_case("DPoP") {
        Credentials::Dpop
    } else {
        return Credentials::None;
    };
    match rest.strip_prefix(' ') {
        Some(token) if is_token(token) && !has_other_token(headers, uri) => presented(token),
        _ => Credentials::Malformed,
    }
}

/// `b64token` of RFC 6750 §2.1.
fn is_token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

/// A token in the query, or a body that could hold one.
fn has_other_token(headers: &HeaderMap, uri: &Uri) -> bool {
    let in_query = uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split('=').next().is_some_and(|name| name == "access_token"))
    });
    let form = headers
        .get(CONTENT_TYPE)
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
        format!("{:?}", read(&headers, &Uri::from_static(uri), false))
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
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer  x"],
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

    #[test]
    fn a_token_in_the_query_is_none_and_beside_the_header_an_error() {
        assert_eq!(with(&[], "/mcp?access_token=x"), "None");
        assert_eq!(with(&[b"Bearer x"], "/mcp?a=1&access_token=x"), "Malformed");
        assert_eq!(with(&[b"Bearer x"], "/mcp?a=access_token"), "Bearer(\"x\")");
    }
}
