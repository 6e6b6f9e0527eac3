//! Tokens that this node has signed itself: what it signed a moment ago needs no second look at its signature. Their text
//! is known by its SHA-256, so a token with one other character is another one.

use doorward_jose::sha256;
use quick_cache::sync::Cache;

/// About 3 MB. A token that is not among them is verified like one of another node.
const KEPT: usize = 32_768;

/// The last tokens that this node has signed.
pub(crate) struct SignedHere(Cache<[u8; 32], ()>);

impl SignedHere {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
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
    fn no_more_than_so_many_are_kept() {
        let signed = SignedHere::new();
        for number in 0..KEPT * 2 {
            signed.note(&number.to_string());
        }
        assert!(signed.0.len() <= KEPT);
    }
}
