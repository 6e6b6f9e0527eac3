//! A token with its SHA-256.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use memchr::memrchr;

/// A token and its SHA-256, by which it can be remembered.
///
/// The hash of what is signed (RFC 7515 §5.2) is on the way to it: all of the token but its last part. So a token that has to be
/// hashed whole before anybody knows whether its signature has to be checked is read only once.
pub struct HashedToken<'t> {
    bytes: &'t [u8],
    sha256: [u8; 32],
    signing_input: Option<[u8; 32]>,
}

impl<'t> HashedToken<'t> {
    /// Hashes a token; whether it is one does not matter.
    pub fn new(bytes: &'t [u8]) -> Self {
        let (whole, signing_input) = match memrchr(b'.', bytes) {
            Some(end) => {
                let (before, after) = bytes.split_at(end);
                let mut context = Context::new(&SHA256);
                context.update(before);
                let signing_input = context.clone().finish();
                context.update(after);
                (context.finish(), Some(signing_input))
            }
            None => (digest(&SHA256, bytes), None),
        };
        Self {
            bytes,
            sha256: bytes_of(&whole),
            signing_input: signing_input.as_ref().map(bytes_of),
        }
    }

    /// SHA-256 of the whole token.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// SHA-256 of what [`Jws`](crate::Jws) takes for the signing input, everything before the last dot, if this is the very
    /// token that was hashed.
    pub(crate) fn signing_input_of(&self, token: &str) -> Option<[u8; 32]> {
        self.signing_input
            .filter(|_| std::ptr::eq(self.bytes, token.as_bytes()))
    }
}

fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

impl fmt::Debug for HashedToken<'_> {
    /// A token is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashedToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256;

    #[test]
    fn both_hashes_are_those_of_the_text() {
        for text in ["", ".", "a", "a.b", "a.b.c", "a.b.", "....", &"x.".repeat(500)] {
            let hashed = HashedToken::new(text.as_bytes());
            assert_eq!(*hashed.sha256(), sha256(text.as_bytes()), "{text:?}");
            let before = text.rsplit_once('.').map(|(before, _)| sha256(before.as_bytes()));
            assert_eq!(hashed.signing_input_of(text), before);
        }
    }

    #[test]
    fn the_last_dot_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut bytes = vec![b'/'; length];
            assert_eq!(HashedToken::new(&bytes).signing_input, None);
            for place in 0..length {
                bytes[place] = b'.';
                let signing_input = HashedToken::new(&bytes).signing_input;
                assert_eq!(signing_input, Some(sha256(&bytes[..place])));
            }
        }
    }

    #[test]
    fn a_hash_is_for_the_token_alone_that_it_was_made_of() {
        let (token, other) = ("a.b.c".to_owned(), "a.b.c".to_owned());
        let hashed = HashedToken::new(token.as_bytes());
        assert!(hashed.signing_input_of(&token).is_some());
        assert!(hashed.signing_input_of(&other).is_none());
        assert!(hashed.signing_input_of(&token[..3]).is_none());
    }
}
