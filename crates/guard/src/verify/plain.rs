//! JSON of the form that issuers write: no white space, and no escapes where it matters.

use super::claim::Plain;
use crate::plain_text;

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

    /// A string without escapes.
    pub(super) fn string(&mut self) -> Option<&'j str> {
        self.byte(b'"')?;
        let text = plain_text::before_quote(self.document.get(self.position..)?)?;
        self.position += text.len() + 1;
        Some(text)
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
