//! What counts as an e-mail address: enough to tell one from a name, and no more. Whether mail arrives, only mail can tell.

use doorward_oauth::client::is_invisible;

/// The longest address, in bytes (RFC 5321 §4.5.3.1.3, less the two angle brackets).
pub(crate) const MAX_EMAIL: usize = 254;

/// Whether a text can be somebody's address.
pub(crate) fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && text.len() <= MAX_EMAIL
        && !text.contains(|c: char| c.is_control() || c.is_whitespace() || is_invisible(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_parts_and_no_blank() {
        for good in ["ada@example.com", "a@b", "grüße+list@exämple.de"] {
            assert!(is_address(good), "{good}");
        }
        let longest = format!("{}@example.com", "a".repeat(MAX_EMAIL - 12));
        assert!(is_address(&longest));
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a da@example.com",
            "ada@example.com\n",
            "a\0@b",
            "\u{200b}@example.com",
            "\u{202e}ada@example.com",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
        assert!(!is_address(&format!("a{longest}")));
    }
}
