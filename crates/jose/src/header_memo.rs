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
