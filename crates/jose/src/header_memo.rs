//! Headers that were read before.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;

use crate::{Header, Jws};

const PLACES: usize = 4;

/// The headers of tokens that were verified. The tokens of an issuer have the same header, letter for letter, until it
/// changes its key, so reading it once is enough.
///
/// Holds four headers, each in the one place that its text belongs to.
#[derive(Default)]
pub struct HeaderMemo([ArcSwapOption<Known>; PLACES]);

struct Known {
    text: Box<str>,
    header: Arc<Header>,
}

impl HeaderMemo {
    /// Remembers the header of a token whose signature was verified: a stranger's header must not push out one that is
    /// needed.
    pub fn remember(&self, token: &Jws<'_>) {
        let text = token.encoded_header();
        if self.find(text).is_none() {
            let known = Known {
                text: text.into(),
                header: token.shared_header(),
            };
            self.place(text).store(Some(Arc::new(known)));
        }
    }

    pub(crate) fn find(&self, text: &str) -> Option<Arc<Header>> {
        let known = self.place(text).load();
        let known = known.as_ref()?;
        (*known.text == *text).then(|| known.header.clone())
    }

    fn place(&self, text: &str) -> &ArcSwapOption<Known> {
        let sum = text
            .bytes()
            .rev()
            .take(8)
            .fold(text.len(), |sum, byte| sum + usize::from(byte));
        &self.0[sum % PLACES]
    }
}

impl fmt::Debug for HeaderMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderMemo").finish_non_exhaustive()
    }
}
