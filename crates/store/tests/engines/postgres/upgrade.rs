//! A rolling upgrade: nodes of the version before work on while a newer one adds its steps, and start again on its schema.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{RedeemOutcome, RotateOutcome, Store, StoreError};

use super::cluster::{Database, execute};
use super::template;
use crate::conformance::scene::{Opened, Scene, at, redemption, rotation};

/// What the start of a newer version may do to the tables under load: columns with a default, tables; and its journal's word
/// that programs without it go on. It waits for a table as long as the program does.
const NEWER: &str = "BEGIN; SET LOCAL lock_timeout = '1250ms'; \
    ALTER TABLE access_grant ADD COLUMN future TEXT; \
    ALTER TABLE code ADD COLUMN future BIGINT NOT NULL DEFAULT 0; \
    ALTER TABLE client ADD COLUMN future TEXT NOT NULL DEFAULT ''; \
    ALTER TABLE spent ADD COLUMN future TEXT; \
    CREATE TABLE future (id BIGINT PRIMARY KEY); \
    INSERT INTO schema_migration (version, name, sha256, breaks_older) \
    SELECT max(version) + 1, '9999_future', 'x', false FROM schema_migration; COMMIT";

async fn node(database: &Database) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&database.url(), &PostgresOptions::default()).await
}

/// The hot half of the suite, on a schema that is ahead.
pub(crate) async fn opened() -> Option<Opened> {
    let database = template::database().await?;
    execute(&database.url(), NEWER).await;
    let store = node(&database).await.unwrap();
    Some(Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    })
}

crate::conformance::conformance! { crate::postgres::upgrade::opened;
    approvals: an_approval_makes_a_pending_grant_and_its_code, parallel_posts_of_one_request_make_one_grant;
    clients: a_client_reads_back_as_it_was_written, five_hundred_parallel_registrations_store_one_row;
    codes: a_code_is_redeemed_once_and_its_token_recorded, fifty_parallel_redemptions_give_one_grant_which_then_ends;
    refresh: the_current_generation_moves_on, fifty_parallel_callers_get_one_successor, every_answer_records_its_token;
    revocation: a_revoked_grant_rotates_no_more, filters_choose_the_grants_to_end;
    own: fifty_first_tokens_at_once_share_one_grant;
    exchange: an_exchanged_token_hangs_under_its_parent;
    spent: of_fifty_parallel_callers_one_spends;
    ending: nothing_that_was_given_out_is_usable_any_more;
    sweep: what_is_past_its_use_is_removed;
}

/// Zero failed operations.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_work_on_while_a_newer_version_adds_its_steps() {
    let Some(database) = template::database().await else {
        return;
    };
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(node(&database).await.unwrap()),
        Arc::new(node(&database).await.unwrap()),
    ];
    let opened = Opened {
        store: Arc::clone(&stores[0]),
        keep: Box::new(()),
    };
    let scene = Arc::new(Scene::new(opened).await);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..12)
        .map(|caller| {
            let (scene, stop) = (Arc::clone(&scene), Arc::clone(&stop));
            let store = Arc::clone(&stores[caller % 2]);
            tokio::spawn(async move { work(&scene, store.as_ref(), &stop).await })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    newer_version_starts(&database).await;
    // One of the version before that starts again.
    node(&database).await.unwrap().ping().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut rotations = 0;
    for caller in callers {
        rotations += caller.await.unwrap();
    }
    assert!(rotations > 20, "{rotations}");

    let unkind = "UPDATE schema_migration SET breaks_older = true WHERE name = '9999_future'";
    execute(&database.url(), unkind).await;
    assert!(matches!(
        node(&database).await,
        Err(StoreError::Unusable(why)) if why.contains("9999_future") && why.contains("run a newer version")
    ));
}

/// As the program does it: what is in somebody's way, or would be waited for too long, is tried again.
async fn newer_version_starts(database: &Database) {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    for _ in 0..50 {
        let Err(error) = client.batch_execute(NEWER).await else {
            return;
        };
        let code = error.code().map(tokio_postgres::error::SqlState::code);
        assert!(matches!(code, Some("40P01" | "55P03")), "{error:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
        // Who waited meanwhile passes.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    panic!("the steps never came to their turn");
}

async fn work(scene: &Scene, store: &dyn Store, stop: &AtomicBool) -> u32 {
    let mut rotations = 0;
    while !stop.load(Ordering::Relaxed) {
        let approval = scene.approved().await;
        let redeemed = store.redeem_code(redemption(&approval, at(1))).await;
        assert!(matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))), "{redeemed:?}");
        for generation in 1..=5 {
            let rotated = store
                .rotate_refresh(rotation(approval.grant.id, generation, at(2)))
                .await;
            assert!(
                matches!(rotated, Ok(RotateOutcome::Rotated { retry: false, .. })),
                "{rotated:?}"
            );
            rotations += 1;
        }
    }
    rotations
}
