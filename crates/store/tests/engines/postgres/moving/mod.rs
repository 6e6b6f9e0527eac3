//! A SQLite database that is moved to PostgreSQL: all that was in it is there, and works on.

mod contents;
mod lost_answer;
mod refusals;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_store::moving::{Moved, Progress, Retention, Route, Watch, carry_out, look};
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{
    CLOCK_ERROR, EndReason, GrantFilter, RotateOutcome, SigningKeyRecord, Spend, SpendOutcome, Store,
    StoreError,
};
use tempfile::TempDir;

use super::cluster::{self, Database};
use crate::conformance::scene::{Opened, Scene, at, digest, fresh, rotation};

/// A folder with a SQLite database, and a PostgreSQL database.
struct Places {
    folder: TempDir,
    database: Database,
    options: PostgresOptions,
}

impl Places {
    /// The new database is empty.
    async fn new() -> Option<Self> {
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            database: cluster::empty_database().await?,
            options: PostgresOptions::default(),
        })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("doorward.db")
    }

    fn kept_file(&self) -> PathBuf {
        self.folder.path().join("doorward.db.moved-1")
    }

    fn open_old(&self) -> Result<SqliteStore, StoreError> {
        open_file(&self.file())
    }

    async fn open_new(&self) -> PostgresStore {
        PostgresStore::open(&self.database.url(), &self.options)
            .await
            .unwrap()
    }

    async fn look(&self) -> Result<Vec<doorward_store::moving::Rows>, StoreError> {
        let (from, to) = (self.file(), self.database.url());
        look(self.route(from.to_str().unwrap(), &to), |_| Ok(())).await
    }

    async fn carry_out(&self) -> Result<Moved, StoreError> {
        self.carry_out_telling(&mut |_| {}).await
    }

    async fn carry_out_telling(&self, tell: &mut (dyn FnMut(Progress) + Send)) -> Result<Moved, StoreError> {
        let (from, to) = (self.file(), self.database.url());
        let route = self.route(from.to_str().unwrap(), &to);
        let watch = Watch {
            tell,
            at_the_end: &mut || {},
        };
        carry_out(route, kept(), |_| Ok(()), watch).await
    }

    fn route<'a>(&'a self, from: &'a str, to: &'a str) -> Route<'a> {
        Route {
            from,
            to,
            options: &self.options,
        }
    }
}

fn kept() -> Retention {
    Retention {
        now: at(100),
        issuances: Duration::from_hours(30 * 24),
        audit_events: Duration::from_hours(365 * 24),
    }
}

fn open_file(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path.to_str().unwrap(), &SqliteOptions::default())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// What was moved to a database of its own.
async fn opened() -> Option<Opened> {
    let places = Places::new().await?;
    places.open_old().unwrap().close().await.unwrap();
    places.carry_out().await.unwrap();
    Some(Opened {
        store: Arc::new(places.open_new().await),
        keep: Box::new(places),
    })
}

crate::conformance::conformance! { crate::postgres::moving::opened;
    clients: a_client_reads_back_as_it_was_written;
    codes: a_code_is_redeemed_once_and_its_token_recorded, a_replayed_code_revokes_its_grant;
    refresh: the_current_generation_moves_on, fifty_parallel_callers_get_one_successor, reuse_long_ago_is_still_noticed;
    revocations: the_log_is_read_in_stretches, only_the_beginning_of_the_log_is_forgotten;
    keys: a_signing_key_is_added_by_who_saw_the_newest, another_issuers_name_is_noticed;
    changes: a_change_is_known_before_it_is_answered;
    audit_list: the_list_is_whole_and_in_order_page_by_page;
    sweep: what_is_past_its_use_is_removed;
}

fn key(number: u8, signs_from: i64) -> SigningKeyRecord {
    SigningKeyRecord {
        key_id: format!("key-{number}"),
        algorithm: "ES256".to_owned(),
        sealed_private_key: vec![0, 255, number],
        created_at: at(0),
        signs_from: at(signs_from),
        revoked_at: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_out_before_goes_on_after() {
    let Some(places) = Places::new().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(places.open_old().unwrap());
    let scene = Scene::new(Opened {
        store: Arc::clone(&store),
        keep: Box::new(()),
    })
    .await;
    let (used, waiting) = (scene.active().await, scene.approved().await);
    scene.rotated(used, 1, at(10)).await;
    scene.rotated(used, 2, at(20)).await;
    for time in [30, 40] {
        let ended = GrantFilter::one(scene.active().await);
        store
            .revoke_grants(ended, EndReason::RevokedByUser, at(time))
            .await
            .unwrap();
    }
    // The highest positions were given once, and what had them is forgotten.
    store.forget_revocations(at(41), 100).await.unwrap();
    let spent = Spend {
        digest: digest(9, fresh()),
        until: at(10_000),
        made_at: at(0),
    };
    assert_eq!(store.spend(&[spent]).await, Ok(SpendOutcome::Spent));
    store.add_signing_key(key(1, 0), None).await.unwrap();
    store.add_signing_key(key(2, 500), Some("key-1")).await.unwrap();
    let (keys, log) = (
        store.signing_keys().await.unwrap(),
        store.revocations(0, 10).await.unwrap(),
    );
    assert_eq!(log.forgotten, 2);
    store.close().await.unwrap();

    let moved = places.carry_out().await.unwrap();
    assert_eq!(moved.kept, Ok(places.kept_file()));
    let new: Arc<dyn Store> = Arc::new(places.open_new().await);
    let rotated = new.rotate_refresh(rotation(used, 3, at(50))).await.unwrap();
    assert!(
        matches!(
            rotated,
            RotateOutcome::Rotated {
                successor: 4,
                retry: false,
                ..
            }
        ),
        "{rotated:?}"
    );
    // What tells a retry from a reuse has arrived too.
    let retry = new.rotate_refresh(rotation(used, 1, at(60))).await.unwrap();
    assert!(
        matches!(
            retry,
            RotateOutcome::Rotated {
                successor: 2,
                retry: true,
                ..
            }
        ),
        "{retry:?}"
    );
    let reuse = new.rotate_refresh(rotation(used, 1, at(9_000))).await.unwrap();
    assert_eq!(reuse, RotateOutcome::Reused);
    assert_eq!(new.spend(&[spent]).await, Ok(SpendOutcome::UsedBefore(0)));
    // Followers go on from where they were: the log has its name, and its positions are not given again.
    let after = new.revocations(log.last, 10).await.unwrap();
    assert_eq!((&after.log, after.forgotten), (&log.log, log.forgotten));
    assert_eq!(after.items.len(), 1);
    assert_eq!(after.last, log.last + 1);
    assert_eq!(new.signing_keys().await.unwrap(), keys);
    let added = new.add_signing_key(key(3, 600), Some("key-2")).await.unwrap();
    assert_eq!(added[0].key_id, "key-3");
    // What waited for its client still does.
    let on_new = Scene::again(Opened {
        store: Arc::clone(&new),
        keep: Box::new(()),
    })
    .await;
    let redeemed = on_new.redeem(&waiting, at(5)).await;
    assert!(
        matches!(redeemed, doorward_store::RedeemOutcome::Redeemed(_)),
        "{redeemed:?}"
    );
    let swept = new.sweep(at(10_000) + CLOCK_ERROR, Duration::ZERO, 1000).await;
    assert!(swept.unwrap().total() > 0);
}

#[tokio::test]
async fn nothing_starts_on_the_old_database_until_it_has_its_name_again() {
    let Some(places) = Places::new().await else {
        return;
    };
    places.open_old().unwrap().close().await.unwrap();
    places.carry_out().await.unwrap();
    let refused = refusal(places.open_old().map(drop));
    assert!(refused.contains("was moved to PostgreSQL"), "{refused}");
    let names: Vec<_> = std::fs::read_dir(places.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in &names {
        let wanted = ["doorward.db", "doorward.db.lock", "doorward.db.moved-1"];
        assert!(wanted.contains(&name.as_str()), "{names:?}");
    }
    std::fs::rename(places.kept_file(), places.file()).unwrap();
    places.open_old().unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn old_rows_lie_in_partitions_of_their_time() {
    let Some(places) = Places::new().await else {
        return;
    };
    contents::fill(&places.file(), 40).await;
    places.carry_out().await.unwrap();
    for table in ["issuance", "audit_event"] {
        let url = places.database.url();
        let left = contents::one(&url, &format!("SELECT count(*) FROM {table}_default")).await;
        let all = contents::one(&url, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!((left, all), (0, 40), "{table}");
    }
    // The job goes on behind them.
    let store = places.open_new().await;
    for of in [
        doorward_store::Partitioned::Issuances,
        doorward_store::Partitioned::AuditEvents,
    ] {
        let retain = match of {
            doorward_store::Partitioned::Issuances => kept().issuances,
            doorward_store::Partitioned::AuditEvents => kept().audit_events,
        };
        let done = store.keep_partitions(of, kept().now, retain).await.unwrap();
        // The oldest is for what was issued before it is forgotten, and nothing was.
        assert!(done.made == 0 && done.dropped <= 1, "{of:?}: {done:?}");
    }
}

#[tokio::test]
async fn a_database_with_rows_in_every_table_arrives_equal() {
    if Places::new().await.is_none() {
        return;
    }
    // Also where the schema was made before.
    for prepared in [false, true] {
        let places = if prepared {
            places_with_schema().await
        } else {
            Places::new().await.unwrap()
        };
        contents::fill(&places.file(), 300).await;
        let before = contents::of_sqlite(&places.file());
        let planned = places.look().await.unwrap();
        let mut told = Vec::new();
        let moved = places
            .carry_out_telling(&mut |progress| told.push(progress))
            .await
            .unwrap();
        assert_eq!(planned, moved.tables);
        let after = contents::of_postgres(&places.database.url()).await;
        // A table of one engine that nobody has thought of is found here.
        let names = |contents: &contents::Contents| contents.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after));
        for (table, rows) in &before {
            assert!(!rows.is_empty(), "{table} has no row in this test");
            assert_eq!(rows, &after[table], "{table}");
            let count = rows.len() as u64;
            let reached = |comparing| {
                told.iter().any(|told| {
                    told.done.table == table
                        && told.comparing == comparing
                        && told.done.rows == count
                        && told.of == count
                })
            };
            assert!(reached(false) && reached(true), "{table}: {told:?}");
        }
        assert_eq!(contents::of_sqlite(&places.kept_file()), before);
    }
}

async fn places_with_schema() -> Places {
    let places = Places::new().await.unwrap();
    places.open_new().await.close().await.unwrap();
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_between_is_no_hindrance() {
    let Some(mut places) = Places::new().await else {
        return;
    };
    let pooler = tokio::task::spawn_blocking(super::pooler::pooler);
    let Some(pooler) = pooler.await.unwrap() else {
        return;
    };
    contents::fill(&places.file(), 2000).await;
    let before = contents::of_sqlite(&places.file());
    places.options.transaction_pooler = true;
    let (from, to) = (places.file(), pooler.url(&places.database.name));
    let route = places.route(from.to_str().unwrap(), &to);
    let watch = Watch {
        tell: &mut |_| {},
        at_the_end: &mut || {},
    };
    carry_out::<StoreError>(route, kept(), |_| Ok(()), watch)
        .await
        .unwrap();
    let after = contents::of_postgres(&places.database.url()).await;
    assert_eq!(after, before);
}
