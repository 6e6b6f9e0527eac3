//! Client secrets: 256 random bits, shown once and stored as a digest.

use doorward_jose::sha256;
use doorward_store::ClientSecret;

use crate::random::Random;

/// A new secret: the text for the client, and the record of it, which does not expire.
pub(crate) fn generate(random: &dyn Random) -> (String, ClientSecret) {
    let text = random.token("dwsec_");
    let record = ClientSecret {
        digest: sha256(text.as_bytes()),
        expires_at: None,
    };
    (text, record)
}
