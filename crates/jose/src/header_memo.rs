//! Headers that were read before.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;

use crate::{Header, Jws};

/// Enough for the keys of an issuer.
const PLACES: usize = 4;

/// The headers of tokens that were verified. The tokens of an issuer have the same header, letter for letter, until it
/// changes its key, so reading it once is enough.
///
/// Holds a fixed number of headers, each in the one place that its text belongs to. One memo must not serve tokens that are
/// parsed in different ways.
pub struct HeaderMemo(Box<[ArcSwapOption<Known>]>);

struct Known {
    text: Box<str>,
    header: Arc<Header>,
}

impl Default for HeaderMemo {
    /// With four places.
    fn default() -> Self {
        Self::with_places(PLACES)
    }
}

impl HeaderMemo {
    /// With so many places, at least one. For proofs that carry the key of one of many clients (RFC 9449 §4.2).
    pub fn with_places(places: usize) -> Self {
        Self((0..places.max(1)).map(|_| ArcSwapOption::empty()).collect())
    }

    /// Remembers the header of a token whose signature was verified: a stranger's header must not push out one that is
    /// needed.
    pub fn remember(&self, token: &Jws<'_>) {
        if token.has_known_header() {
            return;
        }
        let text = token.encoded_header();
        let known = Known {
            text: text.into(),
            header: token.shared_header(),
        };
        self.place(text).store(Some(Arc::new(known)));
    }

    pub(crate) fn find(&self, text: &str) -> Option<Arc<Header>> {
        let known = self.place(text).load();
        let known = known.as_ref()?;
        (*known.text == *text).then(|| known.header.clone())
    }

    fn place(&self, text: &str) -> &ArcSwapOption<Known> {
        // The end tells keys apart: a `kid`, or a coordinate.
        let mix =
            |sum: u64, word: &[u8; 8]| (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (_, words) = text.as_bytes().as_rchunks::<8>();
        let sum = words.iter().rev().take(4).fold(text.len() as u64, mix);
        // The upper half is mixed best.
        let place = usize::try_from(sum >> 32).unwrap_or_default();
        &self.0[place % self.0.len()]
    }
}

impl fmt::Debug for HeaderMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderMemo").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Algorithm, SigningKey, sign};

    fn token(typ: &str) -> String {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        sign(&key, typ, &json!({ "sub": "ada" })).unwrap()
    }

    #[test]
    fn a_remembered_header_is_not_read_again() {
        let (memo, text) = (HeaderMemo::default(), token("at+jwt"));
        let first = Jws::parse_with_memo(&text, &memo).unwrap();
        assert!(!first.has_known_header());
        assert!(memo.find(first.encoded_header()).is_none());
        memo.remember(&first);
        let second = Jws::parse_with_memo(&text, &memo).unwrap();
        assert!(second.has_known_header());
        assert_eq!(second.header(), first.header());
    }

    #[test]
    fn a_header_in_the_place_of_another_is_never_taken_for_it() {
        let memo = HeaderMemo::with_places(1);
        for typ in ["at+jwt", "JWT", "at+jwt"] {
            let text = token(typ);
            let read = Jws::parse_with_memo(&text, &memo).unwrap();
            assert!(!read.has_known_header());
            assert_eq!(read.header(), Jws::parse(&text).unwrap().header());
            memo.remember(&read);
        }
    }
}
