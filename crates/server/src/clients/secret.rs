//! Client secrets: 256 bits, random or made of the server's secrets, shown once and stored as a keyed digest, so that neither
//! a copy of the database nor time to try helps anybody.

use doorward_jose::base64url;
use doorward_store::{ClientSecret, Digest};

use crate::context::Context;
use crate::keys::Secrets;
use crate::prefix;

const PURPOSE: &str = "client-secret";
const GIVEN_WITH: &str = "client-secret-of-a-registration";

/// A new secret: the text for the client, and the record of it, which does not expire.
pub(crate) fn generate(ctx: &Context) -> (String, ClientSecret) {
    recorded(ctx, ctx.random.token(prefix::CLIENT_SECRET))
}

/// As [`generate`], and the same one whenever it is asked for: the secret that a client gets together with this registration
/// access token.
pub(super) fn given_with(ctx: &Context, registration_access_token: &str) -> (String, ClientSecret) {
    let mac = ctx
        .secrets
        .mac(GIVEN_WITH, &[registration_access_token.as_bytes()]);
    recorded(
        ctx,
        format!("{}{}", prefix::CLIENT_SECRET, base64url::encode(&mac)),
    )
}

fn recorded(ctx: &Context, text: String) -> (String, ClientSecret) {
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
