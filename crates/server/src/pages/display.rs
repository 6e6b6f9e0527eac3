//! What strangers named, made fit to be read: escaping keeps it harmless, this keeps it honest.

use doorward_oauth::client::is_invisible;

/// The longest name shown, in characters.
const LONGEST: usize = 80;

/// The longest URI shown, in characters.
const LONGEST_URI: usize = 200;

/// A name on one line: characters that hide, reorder or break text become `�`, and what is too long is cut.
pub(super) fn name(text: &str) -> String {
    cut(text.chars().map(honest), LONGEST)
}

/// A URI or host: everything outside printable ASCII is percent-encoded, so that nothing can pass for
/// something else.
pub(super) fn uri(text: &str) -> String {
    cut(encoded(text).chars(), LONGEST_URI)
}

fn encoded(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c.is_ascii_graphic() {
            plain.push(c);
        } else {
            let mut buffer = [0; 4];
            plain.extend(
                c.encode_utf8(&mut buffer)
                    .bytes()
                    .map(|byte| format!("%{byte:02X}")),
            );
        }
    }
    plain
}

/// A host: what decides who it is stands at its end, so the beginning gives way.
pub(super) fn host(text: &str) -> String {
    let plain = encoded(text);
    let length = plain.chars().count();
    if length <= LONGEST {
        plain
    } else {
        format!("…{}", plain.chars().skip(length - LONGEST).collect::<String>())
    }
}

fn cut(text: impl Iterator<Item = char>, longest: usize) -> String {
    let mut characters = text.peekable();
    let mut kept: String = characters.by_ref().take(longest).collect();
    if characters.peek().is_some() {
        kept.push('…');
    }
    kept
}

/// Control characters, and the format characters with which text is reordered or made invisible.
fn honest(c: char) -> char {
    if c.is_control() || is_invisible(c) {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_reorder_or_hide_text() {
        assert_eq!(name("Good\u{202e}live\r\n"), "Good\u{fffd}live\u{fffd}\u{fffd}");
        assert_eq!(name(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
        assert_eq!(name("Büro 東京"), "Büro 東京");
    }

    #[test]
    fn a_long_host_keeps_the_end_that_decides() {
        let shown = host(&format!("{}.evil.example", "claude.ai.".repeat(30)));
        assert!(shown.starts_with('…') && shown.ends_with(".evil.example"));
        assert_eq!(
            uri("https://a.example/\u{202e}moc"),
            "https://a.example/%E2%80%AEmoc"
        );
    }
}
