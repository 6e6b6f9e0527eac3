//! `private_key_jwt` (RFC 7523 §2.2): the client signs that it is itself.

use std::net::IpAddr;

use doorward_jose::{JoseError, Jws};
use doorward_oauth::assertion::{AssertionError, AssertionRules};
use doorward_store::Spend;

use super::Client;
use super::keys::NoKey;
use crate::context::Context;
use crate::routes;

/// Why an assertion proves nothing. For the log alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotProven {
    #[error("the assertion is no JWT that can be read: {0}")]
    Malformed(JoseError),
    #[error("the client has no key for the assertion: {0}")]
    NoKey(#[from] NoKey),
    #[error(transparent)]
    Refused(#[from] AssertionError),
}

/// Checks the assertion of this client, in a request from `address`. What comes back has to be used up before anything is
/// given out for it.
pub(super) async fn verify(
    ctx: &Context,
    client: &Client,
    assertion: &str,
    address: IpAddr,
) -> Result<Spend, NotProven> {
    let jws = Jws::parse(assertion).map_err(NotProven::Malformed)?;
    let key = ctx.clients.key(client, jws.header(), address).await?;
    let issuer = ctx.issuer.as_str();
    let (with_slash, token_endpoint) = (format!("{issuer}/"), format!("{issuer}{}", routes::TOKEN));
    let audiences = [issuer, &with_slash, &token_endpoint];
    let rules = AssertionRules {
        max_lifetime: ctx
            .settings
            .client_authentication
            .max_assertion_lifetime
            .duration(),
        ..AssertionRules::default()
    };
    let proven = rules.verify(&jws, &key, &client.client_id, &audiences, ctx.now())?;
    Ok(Spend {
        digest: doorward_jose::sha256(&[b"client-assertion\0", proven.replay_id().as_slice()].concat()),
        until: proven.expires_at(),
        made_at: rules.made_at(&proven),
    })
}
