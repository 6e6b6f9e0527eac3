//! Indexes of this version that the database of a version before has not got: made once, while the server serves.

use std::time::Duration;

use doorward_store::{IndexWork, StoreError};
use tokio::time::sleep;

use super::{Failed, unless_it_panics};
use crate::context::Context;

const LOOK_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// An attempt may read all of a large table.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Until all of them are there; by one node at a time. Another one goes on where a node has ended.
pub(super) async fn make(ctx: &Context) {
    let mut pause = LOOK_AGAIN_AFTER;
    loop {
        match unless_it_panics(ctx.store.make_indexes(&log)).await {
            Ok(true) => return,
            Ok(false) => pause = LOOK_AGAIN_AFTER,
            Err(Failed::Error(StoreError::Unusable(why))) => {
                tracing::warn!(why, "the database goes without an index");
                return;
            }
            Err(error) => {
                tracing::error!(%error, again_in = pause.as_secs(), "an index could not be made; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        }
        sleep(pause).await;
    }
}

fn log(migration: &str, work: IndexWork) {
    match work {
        IndexWork::Begun => tracing::info!(migration, "making an index while the server serves"),
        IndexWork::Leftover => {
            tracing::info!(
                migration,
                "removing an index that was not finished; it is made anew"
            );
        }
        IndexWork::At { phase, percent } => {
            tracing::debug!(migration, phase, percent, "an index is being made");
        }
        IndexWork::Made => tracing::info!(migration, "the index is there"),
        IndexWork::Elsewhere => tracing::debug!(migration, "another node makes an index"),
    }
}
