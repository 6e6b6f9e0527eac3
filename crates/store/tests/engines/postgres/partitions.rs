//! Issued tokens in partitions: made ahead, found, revoked, and gone with a whole partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{
    ActorKind, AuditAction, AuditEntry, AuditEvent, AuditFilter, GrantId, Issuance, PageRequest, Partitioned,
    PartitionsKept, RotateOutcome, RotateRefresh, Store, StoreError, UnixSeconds,
};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

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

    async fn keep_events(&self, now: UnixSeconds) -> PartitionsKept {
        self.store()
            .keep_partitions(Partitioned::AuditEvents, now, MONTH)
            .await
            .unwrap()
    }

    /// A token of the grant, with an id of its time.
    async fn issue(&self, now: UnixSeconds) -> String {
        self.try_issue(now).await.unwrap()
    }

    async fn try_issue(&self, now: UnixSeconds) -> Result<String, StoreError> {
        let jti = id_of(now);
        let rotate = rotation(self.grant, self.generation.load(Ordering::Relaxed), now);
        let issuance = Issuance {
            jti: jti.clone(),
            ..rotate.issuance
        };
        let rotated = self
            .store()
            .rotate_refresh(RotateRefresh { issuance, ..rotate })
            .await?;
        assert!(matches!(rotated, RotateOutcome::Rotated { .. }), "{rotated:?}");
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(jti)
    }

    /// What a run leaves at [`at`] `0` that ends between its two transactions.
    async fn reserve(&self) {
        let midnight = |days| id_of(at((days * DAY) - at(0).0 % DAY))[..13].to_owned();
        let reserved = format!(
            "ALTER TABLE issuance_default ADD CONSTRAINT issuance_20270117_20270121 \
             CHECK (jti < '{}' OR jti >= '{}') NOT VALID",
            midnight(2),
            midnight(6)
        );
        self.connection().await.batch_execute(&reserved).await.unwrap();
        assert_eq!(self.reservations().await, 1);
    }

    async fn reservations(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'issuance_default'::regclass AND contype = 'c'";
        let db = self.connection().await;
        db.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Somebody who has the table locked.
    async fn locked(&self, sql: &str) -> Client {
        let client = self.connection().await;
        client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
        client
    }

    /// An event of its time.
    async fn record(&self, now: UnixSeconds) -> Uuid {
        let id = id_of(now).parse().unwrap();
        let event = AuditEvent {
            id,
            at: now,
            action: AuditAction::ResourceCreated.into(),
            refusal: None,
            actor: ActorKind::AdminKey.into(),
            actor_id: None,
            client_id: None,
            grant: None,
            subject: None,
            resource: None,
            target: None,
            request_id: None,
            address: None,
            detail: serde_json::Map::new(),
        };
        self.store().record(event).await.unwrap();
        id
    }

    /// Newest first, over pages of two.
    async fn events(&self) -> Vec<Uuid> {
        let (mut events, mut after) = (Vec::new(), None);
        loop {
            let filter = AuditFilter {
                longest_token: Duration::from_hours(24),
                ..AuditFilter::default()
            };
            let page = PageRequest { after, limit: 2 };
            let page = self.store().audit_entries(filter, page).await.unwrap();
            events.extend(page.items.into_iter().filter_map(|entry| match entry {
                AuditEntry::Event(event) => Some(event.id),
                AuditEntry::Issued(_) => None,
            }));
            after = page.next;
            if after.is_none() {
                return events;
            }
        }
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
        self.rows_of("issuance").await
    }

    async fn rows_of(&self, table: &str) -> Vec<(String, i64)> {
        let db = self.connection().await;
        let sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                   WHERE i.inhparent = to_regclass($1) ORDER BY 1";
        let mut rows = Vec::new();
        for partition in db.query(sql, &[&table]).await.unwrap() {
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
    PartitionsKept {
        made,
        ..PartitionsKept::default()
    }
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
    assert_eq!(rows[0], ("issuance_20270117_20270121".to_owned(), 1));
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

/// As when the server ends a statement that takes longer than others wait. What is past its use goes all the same.
#[tokio::test]
async fn rows_that_take_too_long_to_move_stay_until_another_time() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep(at(0)).await;
    cut.issue(at(3 * DAY)).await;
    cut.issue(at(23 * DAY)).await;
    let ahead = cut.issue(at(43 * DAY)).await;
    let slow = "CREATE FUNCTION takes_too_long() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'query_canceled'; END $$; \
                CREATE TRIGGER takes_too_long BEFORE DELETE ON issuance_default \
                FOR EACH ROW EXECUTE FUNCTION takes_too_long()";
    let db = cut.connection().await;
    db.batch_execute(slow).await.unwrap();
    let kept = cut.keep(at(40 * DAY)).await;
    assert!(kept.made == 0 && kept.dropped > 0, "{kept:?}");
    assert_eq!(cut.reservations().await, 0);
    assert!(cut.is_there(&ahead).await);
    let quick = "DROP TRIGGER takes_too_long ON issuance_default";
    db.batch_execute(quick).await.unwrap();
    assert!(cut.keep(at(40 * DAY)).await.made > 0);
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
    // It does not end by itself.
    assert!(started.elapsed() < Duration::from_secs(5));
    cut.issue(at(40 * DAY)).await;
    reader.batch_execute("COMMIT").await.unwrap();
    let kept = cut.keep(at(40 * DAY)).await;
    assert!(kept.made > 0 && kept.dropped > 0, "{kept:?}");
    assert_eq!(cut.keep(at(40 * DAY)).await, made(0));
}

/// [CRASH] The days come, and nobody finished what was begun: the next run puts it right.
#[tokio::test]
async fn a_reservation_left_by_a_crash_ends_with_the_next_run() {
    let Some(cut) = Cut::new().await else { return };
    cut.reserve().await;
    assert!(matches!(
        cut.try_issue(at(3 * DAY)).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(cut.keep(at(3 * DAY)).await.made > 0);
    assert_eq!(cut.reservations().await, 0);
    let jti = cut.issue(at(3 * DAY)).await;
    assert!(cut.is_there(&jti).await);
}

/// [CRASH] As after a restore of a dump that was made in the middle.
#[tokio::test]
async fn a_reservation_left_by_a_crash_ends_with_the_next_start() {
    let Some(cut) = Cut::new().await else { return };
    cut.reserve().await;
    let started = PostgresStore::open(&cut.url, &PostgresOptions::default()).await;
    assert_eq!(cut.reservations().await, 0);
    cut.issue(at(3 * DAY)).await;
    started.unwrap().close().await.unwrap();
}

/// [CRASH] A start does not wait for a dump that runs, and does not fail for it.
#[tokio::test]
async fn a_reservation_that_a_reader_holds_stops_no_start_and_goes_after_it() {
    let Some(cut) = Cut::new().await else { return };
    cut.reserve().await;
    let dump = cut
        .locked("LOCK TABLE issuance_default IN ACCESS SHARE MODE")
        .await;
    let started = PostgresStore::open(&cut.url, &PostgresOptions::default()).await;
    started.unwrap().close().await.unwrap();
    // Nothing more is begun meanwhile.
    assert_eq!(cut.keep(at(0)).await, made(0));
    assert_eq!(cut.reservations().await, 1);
    dump.batch_execute("COMMIT").await.unwrap();
    assert_eq!(cut.keep(at(0)).await, made(3));
    assert_eq!(cut.reservations().await, 0);
}

/// [CRASH] Those who are in the way of the first transaction, and of the second one alone.
#[tokio::test]
async fn a_blocked_attach_leaves_no_reservation_behind() {
    let Some(cut) = Cut::new().await else { return };
    for lock in [
        "LOCK TABLE issuance IN ACCESS SHARE MODE",
        "LOCK TABLE ONLY issuance IN SHARE UPDATE EXCLUSIVE MODE",
    ] {
        let blocker = cut.locked(lock).await;
        assert_eq!(cut.keep(at(0)).await, made(0), "{lock}");
        assert_eq!(cut.reservations().await, 0, "{lock}");
        cut.issue(at(3 * DAY)).await;
        blocker.batch_execute("COMMIT").await.unwrap();
    }
    assert_eq!(cut.keep(at(0)).await, made(3));
    assert_eq!(cut.rows().await[0].1, 2);
}

/// Whoever waits for a row that moves finds it where it is then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_finds_the_row_that_moves_meanwhile() {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'issuance'::regclass";
    for _ in 0..3 {
        let Some(cut) = Cut::new().await else { return };
        let cut = Arc::new(cut);
        let jti = cut.issue(at(3 * DAY)).await;
        let looker = cut.connection().await;
        let blocker = cut
            .locked("LOCK TABLE ONLY issuance IN SHARE UPDATE EXCLUSIVE MODE")
            .await;
        let kept = tokio::spawn({
            let cut = Arc::clone(&cut);
            async move { cut.keep(at(0)).await }
        });
        // It has moved the row, and waits to attach its partition.
        while !kept.is_finished() && looker.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        let revoked = tokio::spawn({
            let (cut, jti) = (Arc::clone(&cut), jti.clone());
            async move { cut.store().revoke_issuance(&jti, at(1)).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        blocker.batch_execute("COMMIT").await.unwrap();
        assert!(revoked.await.unwrap().unwrap());
        let recorded = cut.store().issuance(&jti).await.unwrap().unwrap();
        assert_eq!(recorded.revoked_at, Some(at(1)));
        // Whether it attached, or made way and moves the row now.
        kept.await.unwrap();
        cut.keep(at(0)).await;
        let recorded = cut.store().issuance(&jti).await.unwrap().unwrap();
        assert_eq!(recorded.revoked_at, Some(at(1)));
        assert_eq!(cut.rows().await[0].1, 1);
    }
}

#[tokio::test]
async fn audit_events_have_partitions_that_are_made_ahead_and_dropped_whole() {
    let Some(cut) = Cut::new().await else { return };
    assert_eq!(cut.keep_events(at(0)).await, made(3));
    assert_eq!(cut.keep_events(at(0)).await, made(0));
    let (today, soon, later) = (
        cut.record(at(0)).await,
        cut.record(at(3 * DAY)).await,
        cut.record(at(8 * DAY)).await,
    );
    let rows = cut.rows_of("audit_event").await;
    assert_eq!(rows[0], ("audit_event_20270117_20270121".to_owned(), 1));
    assert_eq!(rows[1].1, 1);
    assert_eq!(rows.last().unwrap(), &("audit_event_default".to_owned(), 1));
    assert_eq!(cut.events().await, [later, soon, today]);
    assert_eq!(cut.keep_events(at(33 * DAY)).await.dropped, 0);
    assert_eq!(cut.keep_events(at(37 * DAY)).await.dropped, 1);
    assert_eq!(cut.events().await, [later, today]);
    // In the default partition they go one by one.
    assert_eq!(cut.store().forget_audit_events(at(7 * DAY), 10).await.unwrap(), 1);
    assert_eq!(cut.events().await, [later]);
}

/// The partitions of a long retention are years wide, and reach years ahead: a shorter one counts at once.
#[tokio::test]
async fn a_retention_that_is_lowered_counts_for_what_is_there_already() {
    let Some(cut) = Cut::new().await else { return };
    let keep_for = async |days: u64, now| {
        cut.store()
            .keep_partitions(Partitioned::AuditEvents, now, Duration::from_hours(24 * days))
            .await
            .unwrap()
    };
    assert_eq!(keep_for(3660, at(0)).await.made, 3);
    let names = async || {
        let rows = cut.rows_of("audit_event").await;
        rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let ahead = "audit_event_20280214_20290214".to_owned();
    assert!(names().await.contains(&ahead));
    // Both in one that is a year wide, and has begun when the retention is lowered.
    cut.record(at(30 * DAY)).await;
    let recent = cut.record(at(70 * DAY)).await;
    let kept = keep_for(30, at(80 * DAY)).await;
    assert_eq!((kept.rows, kept.made), (1, 0), "{kept:?}");
    assert_eq!(cut.events().await, [recent]);
    assert!(!names().await.contains(&ahead), "nothing was in it");
    // The one that has begun stays in use until its days are over; then they are as wide as they should be.
    let at_its_end = keep_for(30, at(390 * DAY)).await;
    assert!(at_its_end.made > 0, "{at_its_end:?}");
    assert!(
        names()
            .await
            .contains(&"audit_event_20280214_20280217".to_owned()),
        "{:?}",
        names().await
    );
}

#[tokio::test]
async fn an_audit_event_in_a_partition_goes_with_it_and_not_before() {
    let Some(cut) = Cut::new().await else { return };
    cut.keep_events(at(0)).await;
    let (first, last) = (cut.record(at(2 * DAY)).await, cut.record(at(5 * DAY)).await);
    assert_eq!(cut.rows_of("audit_event").await[0].1, 2);
    assert_eq!(cut.store().forget_audit_events(at(9 * DAY), 10).await, Ok(0));
    assert_eq!(cut.keep_events(at(35 * DAY)).await.dropped, 0);
    assert_eq!(cut.events().await, [last, first]);
    assert_eq!(cut.keep_events(at(37 * DAY)).await.dropped, 1);
    assert_eq!(cut.events().await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn an_audit_event_of_days_ahead_moves_into_their_partition() {
    let Some(cut) = Cut::new().await else { return };
    let ahead = cut.record(at(3 * DAY)).await;
    assert_eq!(cut.keep_events(at(0)).await, made(3));
    assert_eq!(cut.rows_of("audit_event").await[0].1, 1);
    assert_eq!(cut.events().await, [ahead]);
}
