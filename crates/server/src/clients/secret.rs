//! Client secrets: 256 random bits, shown once and stored as a keyed digest, so that neither a copy of the database
//! nor time to try helps anybody.

use doorward_store::{ClientSecret, Digest};

use crate::context::Context;
use crate::keys::Secrets;
use crate::prefix;

const PURPOSE: &str = "client-secret";

/// A new secret: the text for the client, and the record of it, which does not expire.
pub(crate) fn generate(ctx: &Context) -> (String, ClientSecret) {
    let text = ctx.random.token(prefix::CLIENT_SECRET);
    let record = ClientSecret {
        digest: digest(&ctx.secrets, &text),
        expires_at: None,
    };
    (text, record)
}

/// What is stored of a secret.
pub(super) fn digest(secrets: &Secrets, text: &str) -> Digest {
    secrets.mac(PURPOSE, &[text.as_bytes()])
}
