//! JSON strings in which nothing is escaped.

/// The text before the quotation mark that ends it. `None` where something is escaped, or a control character stands in it, which
/// must not (RFC 8259 §7), or nothing ends it.
pub(crate) fn before_quote(rest: &str) -> Option<&str> {
    let length = plain_length(rest.as_bytes())?;
    let (text, after) = rest.split_at_checked(length)?;
    after.starts_with('"').then_some(text)
}

/// How many bytes there are before the first quotation mark, backslash or control character.
fn plain_length(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Sets the high bit of the first byte below `limit`, and maybe of some after it.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH_BITS;
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if ends != 0 {
            return Some(index * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    rest.iter().position(ends).map(|at| words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for end in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..40 {
                // The neighbours of what ends a string, and bytes of longer characters.
                for filler in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    let mut text = vec![filler; length];
                    assert_eq!(plain_length(&text), None);
                    text.push(end);
                    text.extend_from_slice(b"\"\\x\x01 and more");
                    assert_eq!(plain_length(&text), Some(length), "{end} {filler}");
                }
            }
        }
    }
}
