//! Security headers.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use doorward_oauth::redirect::form_action_source;

pub(crate) const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What a page without a form for a client may do.
const STRICT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                             frame-ancestors 'none'; base-uri 'none'";

/// Adds what every answer carries, without touching what the endpoint decided itself.
pub(super) fn complete(headers: &mut HeaderMap, hsts: bool) {
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, REFERRER_POLICY, "no-referrer");
    set(headers, CACHE_CONTROL, "no-store");
    if hsts {
        set(headers, STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        set(headers, CONTENT_SECURITY_POLICY, STRICT_POLICY);
        set(headers, X_FRAME_OPTIONS, "DENY");
        set(headers, CROSS_ORIGIN_OPENER_POLICY, "same-origin");
        set(
            headers,
            PERMISSIONS_POLICY,
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        );
    }
}

/// The policy of a page whose form may end in a redirect to `redirect_uri`: browsers hold `form-action`
/// against every step of the way, so that the client's origin must be named.
pub(crate) fn page_policy(redirect_uri: Option<&str>) -> HeaderValue {
    let source = redirect_uri.and_then(form_action_source);
    let policy = match source {
        Some(source) => STRICT_POLICY.replace("form-action 'self'", &format!("form-action 'self' {source}")),
        None => STRICT_POLICY.to_owned(),
    };
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(STRICT_POLICY))
}

/// Whether a page that opened this one as its popup keeps hold of it. A web application waits for its popup to come back to
/// `redirect_uri`, and browsers cut the two apart on any page between; whoever opened another page has no business with it.
pub(crate) fn opener_policy(redirect_uri: Option<&str>) -> HeaderValue {
    let is_web = redirect_uri.is_some_and(|uri| uri.starts_with("https://"));
    HeaderValue::from_static(if is_web { "unsafe-none" } else { "same-origin" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(redirect_uri: &str) -> String {
        let policy = page_policy(Some(redirect_uri)).to_str().unwrap().to_owned();
        let directive = policy
            .split("; ")
            .find(|part| part.starts_with("form-action"))
            .unwrap();
        directive
            .strip_prefix("form-action 'self'")
            .unwrap()
            .trim()
            .to_owned()
    }

    #[test]
    fn the_forms_last_redirect_is_allowed_by_origin_or_scheme() {
        assert_eq!(source("https://client.example/cb?x=1"), "https://client.example");
        assert_eq!(source("http://127.0.0.1:53123/cb"), "http://127.0.0.1:53123");
        assert_eq!(
            source("http://localhost:6274/oauth/callback"),
            "http://localhost:6274"
        );
        assert_eq!(source("http://[::1]:4000/cb"), "http:");
        assert_eq!(source("cursor://anysphere.cursor-mcp/oauth"), "cursor:");
        assert_eq!(source("com.example.app:/cb"), "com.example.app:");
    }

    #[test]
    fn a_redirect_uri_cannot_write_policy() {
        for hostile in [
            "https://a;script-src *;.example/",
            "https://a,b.example/",
            "x y://z",
            "not a url",
            "https://",
        ] {
            let policy = page_policy(Some(hostile));
            assert_eq!(
                policy.to_str().unwrap().matches(';').count(),
                5,
                "{hostile}: {policy:?}"
            );
            assert!(!policy.to_str().unwrap().contains(','));
        }
    }
}
