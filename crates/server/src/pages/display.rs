//! What strangers named, made fit to be read: escaping keeps it harmless, this keeps it honest.

use doorward_oauth::client::is_invisible;

/// The longest name shown, in characters.
const LONGEST: usize = 80;

/// The longest URI shown, in characters.
const LONGEST_URI: usize = 200;

/// A name on one line: characters that hide, reorder or break text become `�`, however many blanks are one, and what is
/// too long is cut.
pub(super) fn name(text: &str) -> String {
    cut(sentence(text).chars(), LONGEST)
}

/// A sentence of the operator's, as [`name`] and whole: nobody can allow what they cannot read.
pub(super) fn sentence(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars().map(honest) {
        if !c.is_whitespace() {
            shown.push(c);
        } else if !shown.ends_with(' ') {
            shown.push(' ');
        }
    }
    shown
}

/// An e-mail address, whole: its end says which account it is.
pub(super) fn address(text: &str) -> String {
    text.chars().map(honest).collect()
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
        let pushed = format!("Claude{}is safe\u{2800}", "\u{a0}".repeat(60));
        assert_eq!(name(&pushed), "Claude is safe\u{fffd}");
    }

    #[test]
    fn what_is_read_to_be_allowed_is_not_cut() {
        let long = "Read your mail, ".repeat(30);
        assert_eq!(sentence(&long), long);
        let account = format!("{}@example.com", "a".repeat(200));
        assert_eq!(address(&account), account);
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
