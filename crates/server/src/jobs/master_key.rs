//! A change of the master key: whoever holds both keys seals everything anew under the new one, while the server runs.

use std::time::Duration;

use tokio::time::sleep;

use super::unless_it_panics;
use crate::context::Context;
use crate::keys::{KeyError, Resealed};

const TRY_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Does it once, when the settings name another master key; by one node at a time.
pub(super) async fn change(ctx: &Context) {
    let keys = &ctx.settings.keys;
    if keys.other_master_key.is_none() && keys.other_master_key_file.is_none() {
        return;
    }
    loop {
        let resealed = unless_it_panics(reseal(ctx)).await;
        ctx.metrics.job("master_key", ctx.now(), resealed.is_ok());
        match resealed {
            Ok(Resealed { seen, changed: 0 }) => {
                tracing::info!(
                    seen,
                    "nothing was sealed under the other master key: if that one is the new one, keys.master_key_file is to name it next; if it is the one so far, remove it from the settings once every node says this"
                );
                return;
            }
            Ok(Resealed { seen, changed }) => {
                tracing::info!(
                    seen,
                    changed,
                    "everything is sealed under keys.master_key_file now; when that holds for every node, remove the other master key from the settings"
                );
                return;
            }
            Err(error) => {
                tracing::error!(%error, "not everything could be sealed under the master key; trying again");
            }
        }
        sleep(TRY_AGAIN_AFTER).await;
    }
}

async fn reseal(ctx: &Context) -> Result<Resealed, KeyError> {
    let _turn = ctx.store.turn("master-key").await?;
    ctx.keys.reseal().await
}
