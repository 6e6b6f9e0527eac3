//! The `Origin` check of the MCP transport (against DNS rebinding), and CORS for clients in a browser.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::fields::{Field, Fields};

/// The origins whose pages may call the MCP server.
#[derive(Debug)]
pub(crate) struct Origins(Vec<String>);

/// What the `Origin` header says.
#[derive(Debug, PartialEq)]
pub(crate) enum Checked {
    /// No browser, or one that need not say.
    Absent,
    /// A page that may call.
    Allowed(HeaderValue),
    /// A page that may not, or no readable origin.
    Refused,
}

impl Origins {
    /// `own` is the origin of the protected resource.
    pub(crate) fn new(own: &str, others: impl IntoIterator<Item = String>) -> Self {
        Self(std::iter::once(own.to_owned()).chain(others).collect())
    }

    pub(crate) fn check(&self, origin: Field<'_>) -> Checked {
        match origin {
            Field::Absent => Checked::Absent,
            Field::Once(value) if self.allows(value) => Checked::Allowed(value.clone()),
            Field::Once(_) | Field::Repeated(_) => Checked::Refused,
        }
    }

    fn allows(&self, value: &HeaderValue) -> bool {
        // A browser serialises origins in lower case and without default port, as they are kept here.
        self.0.iter().any(|origin| origin.as_bytes() == value.as_bytes())
    }
}

/// Brings an origin into the form in which browsers send it; `None` if it is none.
pub(crate) fn normalize(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let bare =
        url.path().trim_end_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let serialized = url.origin().ascii_serialization();
    // Schemes such as `vscode-webview` have an opaque origin here, yet browsers send them as written.
    match serialized.as_str() {
        "null" => (bare && anonymous && url.has_host()).then(|| origin.trim_end_matches('/').to_owned()),
        _ => (bare && anonymous).then_some(serialized),
    }
}

/// Whether the request is a CORS preflight (Fetch standard, "CORS-preflight request").
pub(crate) fn is_preflight(method: &Method, fields: &Fields<'_>) -> bool {
    method == Method::OPTIONS && fields.origin.is_there() && fields.access_control_request_method.is_there()
}

/// The answer to a preflight.
pub(crate) fn allow_preflight(headers: &mut HeaderMap, origin: HeaderValue) {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
    // `*` stands for every header but `Authorization`; old browsers need the names.
    const HEADERS: HeaderValue = HeaderValue::from_static(
        "Authorization, DPoP, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, *",
    );
    allow(headers, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

/// Lets the page read the answer and the headers that an MCP client needs.
pub(crate) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    const EXPOSED: HeaderValue = HeaderValue::from_static(
        "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, MCP-Protocol-Version, Retry-After",
    );
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use http::header::ORIGIN;

    use super::*;

    fn check(values: &[&str]) -> Checked {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ORIGIN, HeaderValue::from_str(value).unwrap());
        }
        let others = normalize("http://LOCALHOST:3000/").into_iter();
        Origins::new("https://mcp.example", others).check(Fields::of(&headers).origin)
    }

    /// RS-047 of the catalogue.
    #[test]
    fn only_the_own_origin_and_configured_ones_pass() {
        assert_eq!(check(&[]), Checked::Absent);
        for good in ["https://mcp.example", "http://localhost:3000"] {
            assert_eq!(
                check(&[good]),
                Checked::Allowed(HeaderValue::from_str(good).unwrap())
            );
        }
        for bad in [
            "null",
            "",
            "https://evil.example",
            "https://mcp.example.evil.example",
            "https://mcp.example:444",
            "http://mcp.example",
            "https://mcp.example/",
            "http://localhost:3001",
            "http://127.0.0.1:3000",
        ] {
            assert_eq!(check(&[bad]), Checked::Refused, "{bad}");
        }
        assert_eq!(
            check(&["https://mcp.example", "https://evil.example"]),
            Checked::Refused
        );
    }

    #[test]
    fn configured_origins_are_brought_into_the_browsers_form() {
        assert_eq!(
            normalize("HTTPS://App.Example:443/").as_deref(),
            Some("https://app.example")
        );
        assert_eq!(
            normalize("vscode-webview://abc").as_deref(),
            Some("vscode-webview://abc")
        );
        for bad in [
            "*",
            "app.example",
            "https://app.example/x",
            "https://u@app.example",
            "https://:p@app.example",
            "https://app.example?x",
            "https://app.example#x",
            "vscode-webview://abc/x",
            "vscode-webview://abc?x",
            "vscode-webview://u@abc",
            "vscode-webview://:p@abc",
            "vscode-webview:",
            "data:",
            "null",
        ] {
            assert_eq!(normalize(bad), None, "{bad}");
        }
    }
}
