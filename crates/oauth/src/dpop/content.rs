//! What a proof says of the body of its request: not in RFC 9449, but in a draft of MCP's profile of it (SEP-1932).

use doorward_jose::{base64url, sha256};

use super::{Proof, ProofError};

impl Proof {
    /// Checks `content_digest`, the digest of the request's body in the form of RFC 9530 §2: `sha-256=:…:`, perhaps among
    /// others. `required`: whether a body must have one; where there is none to have, it still counts.
    ///
    /// # Errors
    /// [`ProofError::Content`] when it is of another body, missing where it is required, or not readable.
    pub fn check_content(&self, body: &[u8], required: bool) -> Result<(), ProofError> {
        let Some(digest) = &self.content_digest else {
            return if required && !body.is_empty() {
                Err(ProofError::Content)
            } else {
                Ok(())
            };
        };
        let expected = structured(&sha256(body));
        let mut of_sha256 = digest
            .split(',')
            .filter_map(|member| member.trim_matches(' ').strip_prefix("sha-256="))
            .peekable();
        let is_there = of_sha256.peek().is_some();
        if is_there && of_sha256.all(|value| value == expected) {
            Ok(())
        } else {
            Err(ProofError::Content)
        }
    }
}

/// A byte sequence of RFC 8941 §3.3.5: base64 with padding, between colons.
fn structured(digest: &[u8; 32]) -> String {
    let text = base64url::encode(digest).replace('-', "+").replace('_', "/");
    format!(":{text}=:")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 §B.1.
    #[test]
    fn a_digest_has_the_form_of_the_rfc() {
        let digest = structured(&sha256(b"{\"hello\": \"world\"}\n"));
        assert_eq!(digest, ":RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
    }
}
