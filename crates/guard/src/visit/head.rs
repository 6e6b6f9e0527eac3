//! All of a request but its body.

use std::borrow::Cow;

use http::{HeaderMap, Method, Uri};

/// All of a request but its body.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Head<'r> {
    /// As sent.
    pub method: &'r Method,
    /// Path and query as sent, not decoded.
    pub uri: &'r Uri,
    /// As sent.
    pub headers: &'r HeaderMap,
    /// Where this process serves the resource, if that differs from the path of the resource's public URL.
    pub served_at: Option<&'r str>,
}

impl<'r> Head<'r> {
    /// The head of a request to the path of the resource's public URL.
    pub fn new(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap) -> Self {
        Self {
            method,
            uri,
            headers,
            served_at: None,
        }
    }

    /// Where this process serves the resource, if that differs.
    #[must_use]
    pub fn served_at(mut self, path: Option<&'r str>) -> Self {
        self.served_at = path;
        self
    }
}

impl Head<'_> {
    /// The path that the client asked for, byte for byte as it was sent, except that a proxy's rewriting is undone.
    pub(crate) fn public_path(&self, resource_path: &str) -> Cow<'_, str> {
        let path = self.uri.path();
        match self.served_at.and_then(|served_at| below(path, served_at)) {
            Some("") => Cow::Owned(resource_path.to_owned()),
            Some(below) => Cow::Owned(format!("{}{below}", resource_path.trim_end_matches('/'))),
            None => Cow::Borrowed(path),
        }
    }
}

/// What `path` adds to `served_at`; `None` when it lies elsewhere.
pub(crate) fn below<'p>(path: &'p str, served_at: &str) -> Option<&'p str> {
    if path == served_at {
        return Some("");
    }
    path.strip_prefix(served_at.trim_end_matches('/'))
        .filter(|below| below.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_path(path: &'static str, served_at: Option<&str>, resource_path: &str) -> String {
        let head = Head {
            method: &Method::GET,
            uri: &Uri::from_static(path),
            headers: &HeaderMap::new(),
            served_at,
        };
        head.public_path(resource_path).into_owned()
    }

    /// INTEROP-008: a proxy that adds or removes a prefix.
    #[test]
    fn the_rewriting_of_a_proxy_is_undone() {
        for (path, served_at, resource_path, expected) in [
            ("/mcp", None, "/mcp", "/mcp"),
            ("/mcp/a%2Fb?x=1", None, "/mcp", "/mcp/a%2Fb"),
            ("/mcp", Some("/mcp"), "/api/mcp", "/api/mcp"),
            ("/mcp/x", Some("/mcp"), "/api/mcp", "/api/mcp/x"),
            ("/mcp/", Some("/mcp"), "/api/mcp", "/api/mcp/"),
            ("/mcpx", Some("/mcp"), "/api/mcp", "/mcpx"),
            ("/", Some("/"), "", ""),
            ("/", Some("/"), "/mcp", "/mcp"),
            ("/x", Some("/"), "/mcp/", "/mcp/x"),
            ("/mcp/x", Some("/mcp/{*rest}"), "/mcp", "/mcp/x"),
        ] {
            assert_eq!(
                public_path(path, served_at, resource_path),
                expected,
                "{path} {served_at:?}"
            );
        }
    }
}
