//! Looks after the signing keys: takes what other nodes did, and makes the next key when it is time.

use crate::context::Context;
use crate::keys::KeyError;

/// One look, on every node. Of several nodes that find a key to be due at the same time, the one whose turn it is makes it.
pub(super) async fn look(ctx: &Context) -> Result<(), KeyError> {
    ctx.keys.keep_up().await?;
    if ctx.keys.is_rotation_due()
        && let Some(_turn) = ctx.store.try_turn("keys").await?
    {
        ctx.keys.rotate_when_due().await?;
    }
    ctx.metrics.signing_key_age(ctx.keys.age());
    Ok(())
}
