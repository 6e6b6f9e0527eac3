//! Issued tokens in partitions: made ahead, found, revoked, and gone with a whole partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{
    GrantId, Issuance, Partitioned, PartitionsKept, RotateOutcome, RotateRefresh, Store, UnixSeconds,
};
use tokio_postgres::{Client, NoTls};

use super::cluster::Database;
use super::template::database;
use crate::conformance::scene::{Opened, Scene, at, fresh, rotation};

const MONTH: Duration = Duration::from_hours(30 * 24);
const DAY: i64 = 86_400;

struct Cut {
    scene: Scene,
    grant: GrantId,
    generation: AtomicU32,
    url: String,
}

impl Cut {
    /// A grant in use, and no partition yet.
    async fn new() -> Option<Self> {
        let database: Database = database().await?;
        let url = database.url();
        let store = PostgresStore::open(&url, &PostgresOptions::default())
            .await
            .unwrap();
        let opened = Opened {
            store: Arc::new(store),
            keep: Box::new(database),
        };
        let scene = Scene::new(opened).await;
        let grant = scene.active().await;
        Some(Self {
            scene,
            grant,
            generation: AtomicU32::new(1),
            url,
        })
    }

    fn store(&self) -> &dyn Store {
        self.scene.store.as_ref()
    }

    async fn keep(&self, now: UnixSeconds) -> PartitionsKept {
        self.store()
            .keep_partitions(Partitioned::Issuances, now, MONTH)
            .await
            .unwrap()
    }

    /// A token of the grant, with an id of its time.
    async fn issue(&self, now: UnixSeconds) -> String {
        let jti = id_of(now);
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let rotate = rotation(self.grant, generation, now);
        let issuance = Issuance {
            jti: jti.clone(),
            ..rotate.issuance
        };
        let rotated = self
            .store()
            .rotate_refresh(RotateRefresh { issuance, ..rotate })
            .await
            .unwrap();
        assert!(matches!(rotated, RotateOutcome::Rotated { .. }), "{rotated:?}");
        jti
    }

    async fn is_there(&self, jti: &str) -> bool {
        self.store().issuance(jti).await.unwrap().is_some()
    }

    async fn connection(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Partition by partition, the default one last, how many rows there are in it.
    async fn rows(&self) -> Vec<(String, i64)> {
        let db = self.connection().await;
        let sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                   WHERE i.inhparent = 'issuance'::regclass ORDER BY 1";
        let mut rows = Vec::new();
        for partition in db.query(sql, &[]).await.unwrap() {
            let name: String = partition.get(0);
            let count = db
                .query_one(&format!("SELECT count(*) FROM {name}"), &[])
                .await
                .unwrap();
            rows.push((name, count.get(0)));
        }
        rows
    }
}

/// An id of version 7, as the server makes them.
fn id_of(now: UnixSeconds) -> String {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&fresh().to_be_bytes());
    let millis = u64::try_from(now.0).unwrap() * 1000;
    uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
}

fn made(made: u64) -> PartitionsKept {
    PartitionsKept { made, dropped: 0 }
}

#[tokio::test]
async fn partitions_are_made_ahead_once_and_hold_the_tokens_of_their_time() {
    let Some(cut) = Cut::new().await else { return };
    assert_eq!(cut.keep(at(0)).await, made(3));
    assert_eq!(cut.keep(at(0)).await, made(0));
    let (today, in_three_days) = (cut.issue(at(0)).await, cut.issue(at(3 * DAY)).await);
    assert!(cut.is_there(&today).await && cut.is_there(&in_three_days).await);
    let rows = cut.rows().await;
    assert_eq!(rows.len(), 4);
    // The first token of the grant has no id of its time.
    assert_eq!(rows.last().unwrap(), &("issuance_default".to_owned(), 2));
    assert_eq!(rows[0], ("issuance_20270116_20270121".to_owned(), 1));
}

#[tokio::test]
async fn a_token_is_revoked_and_told_of_wherever_it_lies() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    let later = at(3 * DAY);
    let jti = cut.issue(later).await;
    let log = cut.store().revocations(0, 10).await.unwrap();
    assert!(cut.store().revoke_issuance(&jti, later).await.unwrap());
    assert!(
        cut.store()
            .revoke_issuance(&jti, later + Duration::from_secs(1))
            .await
            .unwrap()
    );
    let recorded = cut.store().issuance(&jti).await.unwrap().unwrap();
    assert_eq!(recorded.revoked_at, Some(later));
    let told = cut.store().revocations(log.last, 10).await.unwrap();
    assert_eq!(told.items.len(), 1);
}

#[tokio::test]
async fn an_id_is_used_once_over_all_partitions() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    let jti = cut.issue(at(3 * DAY)).await;
    let rotate = rotation(cut.grant, 2, at(3 * DAY));
    let issuance = Issuance {
        jti,
        ..rotate.issuance
    };
    let again = cut
        .store()
        .rotate_refresh(RotateRefresh { issuance, ..rotate })
        .await;
    assert_eq!(again, Err(doorward_store::StoreError::Conflict));
}

#[tokio::test]
async fn a_partition_goes_when_everything_in_it_is_past_its_use() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    let jti = cut.issue(at(3 * DAY)).await;
    let first = cut.rows().await[0].0.clone();
    // The partition ends at midnight of the sixth day.
    assert_eq!(cut.keep(at(33 * DAY)).await.dropped, 0);
    assert!(cut.is_there(&jti).await);
    assert_eq!(cut.keep(at(40 * DAY)).await.dropped, 1);
    assert!(!cut.is_there(&jti).await);
    assert!(cut.rows().await.iter().all(|(name, _)| *name != first));
    assert_eq!(cut.keep(at(40 * DAY)).await, made(0));
}

/// As a node of the version before makes them: ids that say nothing of the time may lie in any partition.
#[tokio::test]
async fn a_partition_stays_as_long_as_one_row_in_it_is_of_use() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    cut.issue(at(3 * DAY)).await;
    let db = cut.connection().await;
    let stray = format!(
        "UPDATE issuance SET expires_at = {} WHERE expires_at > {}",
        at(40 * DAY).0,
        at(DAY).0
    );
    assert_eq!(db.execute(&stray, &[]).await.unwrap(), 1);
    let first = cut.rows().await[0].clone();
    // Those after it hold nothing.
    assert!(cut.keep(at(45 * DAY)).await.dropped > 0);
    assert_eq!(cut.rows().await[0], first);
    assert!(cut.keep(at(71 * DAY)).await.dropped > 0);
    assert_ne!(cut.rows().await[0].0, first.0);
}

#[tokio::test]
async fn without_its_partition_a_token_is_in_the_default_one_and_is_swept_there() {
    let Some(cut) = Cut::new().await else { return };
    let jti = cut.issue(at(5)).await;
    assert!(cut.is_there(&jti).await);
    // What came while nobody made partitions is where it was.
    cut.keep(at(20 * DAY)).await;
    let late = cut.issue(at(20 * DAY)).await;
    assert_eq!(cut.rows().await.last().unwrap().1, 3);
    let swept = cut.store().sweep(at(32 * DAY), MONTH, 100).await.unwrap();
    assert!(swept.kinds().any(|kind| kind == ("issuances", 2)));
    assert!(!cut.is_there(&jti).await);
    assert!(cut.is_there(&late).await);
}

/// Rows of the days to come are no obstacle: they move.
#[tokio::test]
async fn a_row_of_the_default_partition_moves_into_the_one_that_is_made_for_it() {
    let Some(cut) = Cut::new().await else { return };
    let ahead = cut.issue(at(3 * DAY)).await;
    assert_eq!(cut.rows().await, [("issuance_default".to_owned(), 2)]);
    cut.keep(at(0)).await;
    assert_eq!(cut.rows().await[0].1, 1);
    assert!(cut.is_there(&ahead).await);
}

/// [CRASH] Somebody who reads for long holds up neither the others nor the job, which comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_reader_is_not_waited_for() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    cut.issue(at(3 * DAY)).await;
    cut.issue(at(20 * DAY)).await;
    let reader = cut.connection().await;
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM issuance")
        .await
        .unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(cut.keep(at(40 * DAY)).await, PartitionsKept::default());
    assert!(started.elapsed() < Duration::from_secs(3));
    cut.issue(at(40 * DAY)).await;
    reader.batch_execute("COMMIT").await.unwrap();
    let kept = cut.keep(at(40 * DAY)).await;
    assert!(kept.made > 0 && kept.dropped > 0, "{kept:?}");
    assert_eq!(cut.keep(at(40 * DAY)).await, made(0));
}
