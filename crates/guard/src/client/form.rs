//! The body of a request. It holds secrets, so it is wiped when it is dropped.

use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

#[derive(Clone, Default)]
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    /// Appends a parameter; RFC 6749 §3.2 treats an empty one as absent, so it is left out.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for part in byte_serialize(value.as_bytes()) {
            self.0.push_str(part);
        }
    }

    pub(crate) fn push_all<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a String>) {
        for value in values {
            self.push(name, value);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_empty_ones_left_out() {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        form.push("scope", "");
        form.push("resource", "https://a.example/x?y=z&c d\u{e9}");
        assert_eq!(
            form.as_str(),
            "grant_type=client_credentials&resource=https%3A%2F%2Fa.example%2Fx%3Fy%3Dz%26c+d%C3%A9"
        );
    }
}
