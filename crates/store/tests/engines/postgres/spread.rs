//! What one node changes, the other one hears.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    Change, ClientSource, EndReason, GrantFilter, GrantId, STALE_AFTER, Store, TrustedIssuerKind, Version,
};
use tokio::time::{Instant, sleep};

use super::nodes::{Nodes, nodes};
use crate::conformance::changes::{key, version};
use crate::conformance::id_jag::audience;
use crate::conformance::scene::{APP, at, client, digest, resource};
use crate::conformance::trusted_issuers::issuer;
use crate::short_waits::within;

/// A connection of a stranger to the database of the nodes.
async fn sql(nodes: &Nodes, text: &str) -> Vec<i64> {
    let (client, connection) = tokio_postgres::connect(&nodes.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let rows = client.query(text, &[]).await.unwrap();
    driver.abort();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Both nodes have asked for the counts, and the last change has been told by both ways.
async fn settled(store: &Arc<dyn Store>, change: Change) -> Version {
    let mut before = version(&**store, change).await;
    loop {
        sleep(STALE_AFTER).await;
        let now = version(&**store, change).await;
        if now == before {
            return now;
        }
        before = now;
    }
}

/// How long the node takes to know of a change that another one makes now, from when that was answered.
async fn heard_after(node: &Arc<dyn Store>, change: Change, doing: impl Future<Output = ()>) -> Duration {
    settled(node, change).await;
    let mut versions = node.changes().subscribe(change);
    versions.mark_unchanged();
    doing.await;
    let heard = within(Duration::from_secs(30), versions.changed()).await;
    let (heard, waited) = heard.unwrap_or_else(|| panic!("{change:?}: nothing is heard"));
    heard.unwrap();
    waited
}

/// How long after a change that was just answered the node is first asked and does not know the old version any more. That
/// one counts no longer than promised, by when the node was asked: a machine that stands still is no fault.
async fn overtaken(node: &Arc<dyn Store>, change: Change, before: Version) -> Duration {
    let answered = Instant::now();
    loop {
        let asked = answered.elapsed();
        match node.changes().version(change) {
            Some(version) if version != before => return asked,
            Some(_) => assert!(
                asked <= STALE_AFTER,
                "{change:?}: an old version counts for too long: {asked:?}"
            ),
            None => {}
        }
        assert!(asked < Duration::from_secs(30), "{change:?}: nothing is known");
        sleep(Duration::from_millis(5)).await;
    }
}

const LISTENERS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%change_count%' \
                         AND pid <> pg_backend_pid()";

/// By notification: polls come every half second, and of five changes most would have to come right before one. The others
/// may meet a machine that stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_node_hears_of_a_change_at_once() {
    let Some(nodes) = nodes().await else { return };
    let (here, there) = (nodes.of(0), nodes.of(1));
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        let resource = resource(name, &format!("https://{name}.example/mcp"));
        let took = heard_after(&there, Change::Resources, async {
            here.create_resource(resource).await.unwrap();
        });
        all.push(took.await);
    }
    let id = nodes.scene.active().await;
    let took = heard_after(&there, Change::Revocations, async {
        let reason = EndReason::RevokedByAdmin;
        here.revoke_grants(GrantFilter::one(id), reason, at(1))
            .await
            .unwrap();
    });
    all.push(took.await);
    let mut app = here.client(APP).await.unwrap().unwrap();
    app.disabled = true;
    let took = heard_after(&there, Change::Clients, async {
        here.update_client(app).await.unwrap();
    });
    all.push(took.await);
    let median = median(all);
    assert!(median < Duration::from_millis(150), "{median:?}");
}

/// A busy machine makes one or two of them late.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Who may vouch for people and programs, and for whom this server vouches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_node_hears_of_a_change_of_policies_and_sees_it() {
    let Some(nodes) = nodes().await else { return };
    let (here, there) = (nodes.of(0), nodes.of(1));
    let mut idp = issuer("idp", TrustedIssuerKind::IdentityProvider);
    here.create_trusted_issuer(idp.clone()).await.unwrap();
    idp.disabled = true;
    heard_after(&there, Change::Policies, async {
        here.update_trusted_issuer(idp.clone()).await.unwrap();
    })
    .await;
    assert_eq!(there.trusted_issuer("idp").await, Ok(Some(idp)));
    heard_after(&there, Change::Policies, async {
        here.delete_trusted_issuer("idp", at(1)).await.unwrap();
    })
    .await;
    assert_eq!(there.trusted_issuer("idp").await, Ok(None));
    let mut audience = audience("there", "https://there.example");
    heard_after(&there, Change::Policies, async {
        here.create_assertion_audience(audience.clone()).await.unwrap();
    })
    .await;
    audience.disabled = true;
    heard_after(&there, Change::Policies, async {
        here.update_assertion_audience(audience.clone()).await.unwrap();
    })
    .await;
    assert_eq!(there.assertion_audience("there").await, Ok(Some(audience)));
}

/// Nodes are told of nothing; the database counts as before.
async fn without_notifications(nodes: &Nodes) {
    for function in ["count_change", "tell_of_revocations"] {
        let silent = format!(
            "DO $$ BEGIN EXECUTE regexp_replace(pg_get_functiondef('{function}'::regproc), \
             'PERFORM pg_notify[^;]*;', ''); END $$"
        );
        sql(nodes, &silent).await;
    }
    let telling = "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%pg_notify%' AND pronamespace <> 'pg_catalog'::regnamespace";
    assert_eq!(sql(nodes, telling).await, [0]);
}

/// As behind a pooler that takes turns with connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_notifications_another_node_knows_within_a_second() {
    let Some(nodes) = nodes().await else { return };
    let there = nodes.of(1);
    without_notifications(&nodes).await;
    let id = nodes.scene.active().await;
    let mut all = Vec::new();
    for change in Change::ALL {
        let before = settled(&there, change).await;
        make(&nodes, change, id).await;
        all.push(overtaken(&there, change, before).await);
    }
    let median = median(all);
    assert!(median <= STALE_AFTER, "{median:?}");
}

/// A change of this kind on the first node.
async fn make(nodes: &Nodes, change: Change, id: GrantId) {
    let here = nodes.of(0);
    match change {
        Change::Revocations => {
            let reason = EndReason::RevokedByAdmin;
            here.revoke_grants(GrantFilter::one(id), reason, at(1))
                .await
                .unwrap();
        }
        Change::Clients => {
            let mut app = here.client(APP).await.unwrap().unwrap();
            app.disabled = true;
            here.update_client(app).await.unwrap();
        }
        Change::Resources => {
            let resource = resource("other", "https://other.example/mcp");
            here.create_resource(resource).await.unwrap();
        }
        Change::SigningKeys => {
            here.add_signing_key(key("another"), None).await.unwrap();
        }
        Change::Policies => {
            let idp = issuer("idp", TrustedIssuerKind::IdentityProvider);
            here.create_trusted_issuer(idp).await.unwrap();
        }
    }
}

/// While nobody hears anything, what is kept is not used; afterwards everything counts as changed that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_was_cut_off_knows_that_it_knows_nothing() {
    let Some(nodes) = nodes().await else { return };
    let (here, there) = (nodes.of(0), nodes.of(1));
    let before = settled(&there, Change::Clients).await;
    let cut = format!(
        "WITH listeners AS MATERIALIZED (SELECT pid {LISTENERS}) \
         SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM listeners"
    );
    assert_eq!(sql(&nodes, &cut).await, [2]);
    let mut app = here.client(APP).await.unwrap().unwrap();
    app.disabled = true;
    here.update_client(app).await.unwrap();
    overtaken(&there, Change::Clients, before).await;
}

/// A client that registers once more, one that is added, and one that reads its registration are no change to those who remember clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_nobody_remembers_is_no_change() {
    let Some(nodes) = nodes().await else { return };
    let counts = "SELECT count FROM change_count ORDER BY id";
    let before = sql(&nodes, counts).await;
    let store = nodes.of(0);
    let mut dynamic = client("dwc_again", ClientSource::Dynamic);
    store.register_client(dynamic.clone()).await.unwrap();
    dynamic.updated_at = at(10 * 86_400);
    let again = store.register_client(dynamic.clone()).await.unwrap();
    assert_eq!(again.updated_at, dynamic.updated_at);
    let mut managed = client("dwc_managed", ClientSource::Dynamic);
    managed.registration_token = Some(digest(6, 1));
    store.register_client(managed.clone()).await.unwrap();
    managed.registration_token = Some(digest(6, 2));
    let read = digest(6, 1);
    store
        .update_registration(managed.clone(), &read, at(1))
        .await
        .unwrap();
    let id = nodes.scene.active().await;
    nodes.scene.rotated(id, 1, at(1)).await;
    assert_eq!(sql(&nodes, counts).await, before);
    assert_eq!(before.len(), 4);
    "changed".clone_into(&mut managed.fingerprint);
    let changed = digest(6, 2);
    store.update_registration(managed, &changed, at(2)).await.unwrap();
    assert_ne!(sql(&nodes, counts).await, before);
}
