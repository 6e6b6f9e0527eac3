//! Two nodes on one database: who wins is decided once.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{
    ApprovalOutcome, ClientSource, EndReason, GrantFilter, LoginThrottle, RedeemOutcome, Revoked,
    RotateOutcome, Store, ThrottlePolicy,
};

use super::cluster::{Database, empty_database};
use super::template::database;
use crate::conformance::scene::{Opened, Scene, at, at_once, client, consent, redemption, rotation, scopes};

const CALLERS: usize = 60;

pub(super) struct Nodes {
    pub(super) scene: Scene,
    stores: [Arc<dyn Store>; 2],
    pub(super) url: String,
}

impl Nodes {
    pub(super) fn of(&self, caller: usize) -> Arc<dyn Store> {
        Arc::clone(&self.stores[caller % 2])
    }
}

async fn node(database: &Database) -> Arc<dyn Store> {
    let options = PostgresOptions::default();
    Arc::new(PostgresStore::open(&database.url(), &options).await.unwrap())
}

pub(super) async fn nodes() -> Option<Nodes> {
    let database = database().await?;
    let stores = [node(&database).await, node(&database).await];
    let (store, url) = (Arc::clone(&stores[0]), database.url());
    let keep = Box::new(database);
    let scene = Scene::new(Opened { store, keep }).await;
    Some(Nodes { scene, stores, url })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_migrate_once() {
    let Some(database) = empty_database().await else {
        return;
    };
    let url = database.url();
    let stores = at_once(10, |_| {
        let url = url.clone();
        async move {
            PostgresStore::open(&url, &PostgresOptions::default())
                .await
                .map_err(|error| error.to_string())
        }
    })
    .await;
    for store in stores {
        store.unwrap().ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_is_redeemed_on_one_node() {
    let Some(nodes) = nodes().await else { return };
    for _ in 0..10 {
        let approval = Arc::new(nodes.scene.approved().await);
        let answers = at_once(CALLERS, |caller| {
            let (node, approval) = (nodes.of(caller), Arc::clone(&approval));
            async move { node.redeem_code(redemption(&approval, at(1))).await.unwrap() }
        })
        .await;
        let count = |wanted: fn(&RedeemOutcome) -> bool| answers.iter().filter(|it| wanted(it)).count();
        assert_eq!(count(|it| matches!(it, RedeemOutcome::Redeemed(_))), 1);
        assert_eq!(count(|it| *it == RedeemOutcome::Replayed), CALLERS - 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_nodes_give_one_successor() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    for generation in 1..=20 {
        let answers = at_once(CALLERS, |caller| {
            let node = nodes.of(caller);
            async move {
                node.rotate_refresh(rotation(id, generation, at(10)))
                    .await
                    .unwrap()
            }
        })
        .await;
        let fresh = answers.iter().filter(|answer| match answer {
            RotateOutcome::Rotated { successor, retry, .. } => {
                assert_eq!(*successor, generation + 1);
                !retry
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(fresh.count(), 1);
        assert_eq!(nodes.scene.grant(id).await.generation, generation + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_request_makes_one_grant() {
    let Some(nodes) = nodes().await else { return };
    let nodes = Arc::new(nodes);
    for _ in 0..5 {
        let first = nodes.scene.approval();
        let answers = at_once(CALLERS, |caller| {
            let mut mine = nodes.scene.approval();
            mine.request_id = first.request_id;
            mine.code.digest = first.code.digest;
            let node = nodes.of(caller);
            async move {
                match node.approve(mine).await.unwrap() {
                    ApprovalOutcome::Approved(approved) => approved,
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|approved| approved.fresh).count(), 1);
        assert!(answers.iter().all(|approved| approved.grant == answers[0].grant));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consents_given_at_once_all_count() {
    let Some(nodes) = nodes().await else { return };
    for round in 0..5 {
        let fingerprint = format!("fingerprint-{round}");
        at_once(CALLERS, |caller| {
            let mut mine = nodes.scene.approval();
            let uri = format!("https://app.example/{caller}");
            let scope = format!("files:{caller}");
            mine.consent = Some(consent(&fingerprint, &scope, &uri));
            let node = nodes.of(caller);
            async move {
                assert!(matches!(
                    node.approve(mine).await.unwrap(),
                    ApprovalOutcome::Approved(_)
                ));
            }
        })
        .await;
        let merged = nodes.scene.consent().await.unwrap();
        assert_eq!(merged.redirect_uris.len(), CALLERS);
        let all: Vec<_> = (0..CALLERS).map(|caller| format!("files:{caller}")).collect();
        assert_eq!(merged.scopes, scopes(&all.join(" ")));
    }
}

/// After a session's end was answered, no code of it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_approval_never_outlives_its_session() {
    let Some(nodes) = nodes().await else { return };
    let nodes = Arc::new(nodes);
    for round in 0..20 {
        let session = crate::conformance::scene::session(nodes.scene.user.id);
        nodes.of(0).create_session(session.clone(), None).await.unwrap();
        let ids = at_once(12, |caller| {
            let mut mine = nodes.scene.approval();
            mine.session = session.id;
            let (node, id) = (nodes.of(caller + round), session.id);
            async move {
                if caller == 6 {
                    node.end_session(&id, at(1)).await.unwrap();
                    return None;
                }
                let approved = node.approve(mine.clone()).await.unwrap();
                matches!(approved, ApprovalOutcome::Approved(_)).then_some(mine.grant.id)
            }
        })
        .await;
        for id in ids.into_iter().flatten() {
            let grant = nodes.scene.grant(id).await;
            assert!(grant.end_reason.is_some(), "a code outlived its session");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_registration_storm_stores_one_row() {
    let Some(nodes) = nodes().await else { return };
    let registered = at_once(200, |caller| {
        let node = nodes.of(caller);
        async move {
            let mut mine = client("dwc_storm", ClientSource::Dynamic);
            mine.created_at = at(i64::try_from(caller).unwrap());
            node.register_client(mine).await.unwrap()
        }
    })
    .await;
    assert!(registered.iter().all(|client| *client == registered[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_on_all_nodes_share_the_free_attempts() {
    let Some(nodes) = nodes().await else { return };
    let policy = ThrottlePolicy {
        free_attempts: 5,
        first_wait: Duration::from_secs(2),
        longest_wait: Duration::from_mins(1),
        forget_after: Duration::from_mins(15),
    };
    let answers = at_once(CALLERS, |caller| {
        let node = nodes.of(caller);
        async move {
            // In any order: the keys are locked in one.
            let mut keys = ["account".to_owned(), "address".to_owned()];
            if caller % 3 == 0 {
                keys.reverse();
            }
            node.begin_login(&keys, policy, at(0)).await.unwrap()
        }
    })
    .await;
    let allowed = answers
        .iter()
        .filter(|answer| **answer == LoginThrottle::Allowed)
        .count();
    assert_eq!(allowed, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_sweep_at_once_share_the_work() {
    let Some(nodes) = nodes().await else { return };
    for _ in 0..30 {
        nodes.scene.approved().await;
    }
    let year = at(365 * 86_400);
    let removed = at_once(8, |caller| {
        let node = nodes.of(caller);
        async move {
            let mut removed = 0;
            for _ in 0..20 {
                removed += node.sweep(year, Duration::ZERO, 3).await.unwrap().total();
            }
            removed
        }
    })
    .await;
    // A session, the client, and for each approval its grant, its code, or both.
    let total: u64 = removed.iter().sum();
    assert!((32..=62).contains(&total), "{total}");
    assert_eq!(
        nodes
            .of(0)
            .sweep(year, Duration::ZERO, 100)
            .await
            .map(|swept| swept.total()),
        Ok(0)
    );
}

/// A client that nobody used goes just when somebody allows it something: one of the two happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_approved_client_is_never_swept() {
    let Some(nodes) = nodes().await else { return };
    for round in 0..30 {
        let name = format!("dwc_{round}");
        let unused = client(&name, ClientSource::Dynamic);
        nodes.of(0).create_client(unused).await.unwrap();
        let answers = at_once(6, |caller| {
            let mut mine = nodes.scene.approval();
            mine.grant.client_id.clone_from(&name);
            mine.code.client_id.clone_from(&name);
            // Too young to be swept itself.
            mine.grant.created_at = at(2);
            let node = nodes.of(caller);
            async move {
                if caller < 2 {
                    node.sweep(at(2), Duration::from_secs(1), 100).await.unwrap();
                    return false;
                }
                matches!(node.approve(mine).await.unwrap(), ApprovalOutcome::Approved(_))
            }
        })
        .await;
        let approved = answers.contains(&true);
        assert_eq!(nodes.of(1).client(&name).await.unwrap().is_some(), approved);
    }
}

/// Who has read a position of the log has seen all before it: one revocation at a time is given its position, and is
/// committed before the next one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_revocation_appears_before_one_that_was_already_read() {
    let Some(nodes) = nodes().await else { return };
    let (slow, fast) = (nodes.scene.active().await, nodes.scene.active().await);
    let (client, connection) = tokio_postgres::connect(&nodes.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let revoke_slowly = format!(
        "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; UPDATE access_grant SET state = 'ended', end_reason = 'revoked_by_admin', \
         ended_at = 1 WHERE id = '{}'",
        slow.0
    );
    client.batch_execute(&revoke_slowly).await.unwrap();
    let node = nodes.of(1);
    let revoking = tokio::spawn(async move {
        node.revoke_grants(GrantFilter::one(fast), EndReason::RevokedByAdmin, at(5))
            .await
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!revoking.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    assert_eq!(nodes.of(0).revocations(0, 10).await.unwrap().items, []);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(revoking.await.unwrap(), Ok(1));
    let log = nodes.of(0).revocations(0, 10).await.unwrap().items;
    let seen: Vec<_> = log.into_iter().map(|entry| entry.revoked).collect();
    assert_eq!(seen, [Revoked::Grant(slow), Revoked::Grant(fast)]);
    driver.abort();
}
