//! JSON of the form that issuers write: no white space, and no escapes where it matters.

use super::claim::Plain;

/// Reads plain values one after the other; whatever is not of the usual form is `None`.
pub(super) struct Reader<'j> {
    document: &'j str,
    position: usize,
}

impl<'j> Reader<'j> {
    pub(super) fn of(document: &'j str) -> Self {
        Self {
            document,
            position: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn rest(&self) -> &'j [u8] {
        let rest = self.document.as_bytes().get(self.position..);
        rest.unwrap_or_default()
    }

    /// Whether a member stands here, from what separates it to the end of its value.
    pub(super) fn member(&mut self, text: &[u8]) -> bool {
        let after = self.rest().strip_prefix(text);
        let is_next = after.is_some_and(|after| matches!(after.first(), Some(b',' | b'}')));
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    pub(super) fn word(&mut self, text: &[u8]) -> Option<()> {
        self.rest().strip_prefix(text)?;
        self.position += text.len();
        Some(())
    }

    pub(super) fn byte(&mut self, wanted: u8) -> Option<()> {
        (*self.rest().first()? == wanted).then(|| self.position += 1)
    }

    /// The end of the object and of the document.
    pub(super) fn end(&mut self) -> Option<()> {
        self.byte(b'}')?;
        self.rest().is_empty().then_some(())
    }

    pub(super) fn value(&mut self) -> Option<Plain<'j>> {
        if self.rest().first() == Some(&b'"') {
            self.string().map(Plain::Text)
        } else {
            self.whole_number().map(Plain::Whole)
        }
    }

    /// A string without escapes. Control characters must not be in it (RFC 8259 §7).
    pub(super) fn string(&mut self) -> Option<&'j str> {
        self.byte(b'"')?;
        let length = length_of_text(self.rest())?;
        let start = self.position;
        self.position += length + 1;
        self.document.get(start..start + length)
    }

    /// Whatever else a number may have is found behind it, where it is not expected.
    fn whole_number(&mut self) -> Option<u64> {
        /// More might not fit.
        const DIGITS: usize = 18;
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.count();
        let digits = self.rest().get(..length)?;
        // RFC 8259 §6: no leading zeros.
        if length == 0 || length > DIGITS || (length > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        self.position += length;
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        Some(number)
    }

    /// Passes over a value of any kind in a document that is known to be good, to what comes behind it. `None` where there is
    /// white space or an escape.
    pub(super) fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.rest().first()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.position += 1;
                }
                b',' | b'}' if depth == 0 => return Some(()),
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.position += 1;
                }
                byte if byte.is_ascii_whitespace() => return None,
                _ => self.position += 1,
            }
        }
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// The length of the text before a quotation mark, if no escape and no control character is in it.
fn length_of_text(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let marks = marks_in(u64::from_le_bytes(*word));
        if marks != 0 {
            let place = length + (marks.trailing_zeros() / 8) as usize;
            return (bytes.get(place) == Some(&b'"')).then_some(place);
        }
        length += 8;
    }
    let place = tail
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (tail.get(place) == Some(&b'"')).then_some(length + place)
}

/// The top bit of the first byte that is a quotation mark, a backslash or a control character. Bits above it mean nothing.
const fn marks_in(word: u64) -> u64 {
    let quotes = word ^ (ONES * b'"' as u64);
    let slashes = word ^ (ONES * b'\\' as u64);
    let quote = quotes.wrapping_sub(ONES) & !quotes;
    let slash = slashes.wrapping_sub(ONES) & !slashes;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | slash | control) & TOPS
}
