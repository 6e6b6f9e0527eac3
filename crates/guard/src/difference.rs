//! What a token says and what was expected, for whoever looks for the reason of a refusal.

use std::fmt::{self, Write as _};

/// So many characters of either are told.
const LONGEST: usize = 200;

/// Tells it at `debug`. What is found was written by a stranger, so it is escaped and cut; never the token.
pub(crate) fn tell(of: &'static str, found: impl Fn() -> String, expected: impl Fn() -> String) {
    tracing::debug!(
        of,
        found = %Shown(&found()),
        expected = %Shown(&expected()),
        "a token says something else than is expected"
    );
}

struct Shown<'t>(&'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars().flat_map(char::escape_debug);
        characters
            .by_ref()
            .take(LONGEST)
            .try_for_each(|character| f.write_char(character))?;
        match characters.next() {
            Some(_) => f.write_char('…'),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_escaped_and_cut() {
        assert_eq!(
            Shown("https://auth.example/é").to_string(),
            "https://auth.example/é"
        );
        assert_eq!(
            Shown("a\r\n\"\u{1b}[31m\u{202e}").to_string(),
            r#"a\r\n\"\u{1b}[31m\u{202e}"#
        );
        let longest = "x".repeat(LONGEST);
        assert_eq!(Shown(&longest).to_string(), longest);
        assert_eq!(Shown(&format!("{longest}x")).to_string(), format!("{longest}…"));
        assert_eq!(
            Shown(&"\n".repeat(LONGEST)).to_string().chars().count(),
            LONGEST + 1
        );
    }
}
