//! Tokens that this node has signed itself: what it signed a moment ago needs no second look at its signature. Their text
//! is known by its SHA-256, so a token with one other character is another one.

use doorward_jose::sha256;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// About 3 MB. A token that is not among them is verified like one of another node.
const KEPT: usize = 32_768;

/// The last tokens that this node has signed.
pub(crate) struct SignedHere(Cache<[u8; 32], ()>);

impl SignedHere {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        // Hardly any is asked about before it is pushed out: nearly all of them stand in one line, and the oldest goes. (As it
        // comes, the cache keeps what filled it first, and of what is newer one in thirty.)
        let options = OptionsBuilder::new()
            .estimated_items_capacity(KEPT)
            .weight_capacity(KEPT as u64)
            .hot_allocation(0.01)
            .ghost_allocation(0.0)
            .build();
        Self(options.map_or_else(
            |_| Cache::new(KEPT),
            |options| {
                Cache::with_options(
                    options,
                    UnitWeighter,
                    DefaultHashBuilder::default(),
                    DefaultLifecycle::default(),
                )
            },
        ))
    }

    /// A token has been signed.
    pub(crate) fn note(&self, token: &str) {
        self.0.insert(sha256(token.as_bytes()), ());
    }

    /// Whether the token with this SHA-256 is one of them. Whether its key still counts is another question.
    pub(crate) fn contains(&self, digest: &[u8; 32]) -> bool {
        self.0.get(digest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_another_character_was_not_signed_here() {
        let signed = SignedHere::new();
        signed.note("header.payload.signature");
        let contains = |token: &str| signed.contains(&sha256(token.as_bytes()));
        assert!(contains("header.payload.signature"));
        for other in [
            "header.payload.signaturf",
            "header.payload.signature=",
            "header.payload.",
            "",
        ] {
            assert!(!contains(other), "{other}");
        }
    }

    #[test]
    fn the_last_are_kept_and_no_more_than_so_many() {
        let signed = SignedHere::new();
        for number in 0..KEPT * 2 {
            signed.note(&number.to_string());
        }
        assert!(signed.0.len() <= KEPT);
        let kept = |number: &usize| signed.contains(&sha256(number.to_string().as_bytes()));
        // It is kept in parts, of which some fill sooner; and a few of the first stay for good.
        assert!((KEPT * 5 / 4..KEPT * 2).all(|number| kept(&number)));
        assert!((0..KEPT).filter(kept).count() < KEPT / 8);
    }
}
