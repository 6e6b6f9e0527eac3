//! What the database undoes because others were in the way (40001, 40P01) is done again, and once.

use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Actor, ClientSource, Origin, OwnOutcome, RedeemOutcome, Store, StoreError};
use uuid::Uuid;

use super::cluster::execute;
use super::nodes::{Nodes, nodes};
use crate::conformance::own::own;
use crate::conformance::scene::{at, client, fresh, redemption};

const CODES: [&str; 2] = ["40001", "40P01"];

/// The first `failures` writes of this kind to a table fail with the code; a sequence is not undone with them.
async fn in_the_way(nodes: &Nodes, write: &str, code: &str, failures: u32) {
    let made = format!(
        "DROP FUNCTION IF EXISTS undo CASCADE; DROP SEQUENCE IF EXISTS attempts; CREATE SEQUENCE attempts; \
         CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('attempts') <= {failures} THEN RAISE EXCEPTION 'others were in the way' USING ERRCODE = '{code}'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER undo BEFORE {write} FOR EACH ROW EXECUTE FUNCTION undo()"
    );
    execute(&nodes.url, &made).await;
}

async fn number(nodes: &Nodes, query: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(&nodes.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let number = client.query_one(query, &[]).await.unwrap().get(0);
    driver.abort();
    number
}

const ATTEMPTS: &str = "SELECT last_value FROM attempts";

fn operator() -> Origin {
    Origin {
        event: Uuid::from_u128(u128::from(fresh()) << 32),
        at: at(0),
        actor: Actor::AdminKey("test".to_owned()),
        request_id: None,
        address: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_was_undone_is_made_and_told_once() {
    let Some(nodes) = nodes().await else { return };
    for code in CODES {
        in_the_way(&nodes, "INSERT ON client", code, 2).await;
        let name = format!("after {code}");
        let acting = nodes.of(0).acting(operator());
        let added = client(&name, ClientSource::Admin);
        assert_eq!(acting.create_client(added).await, Ok(()), "{code}");
        assert_eq!(number(&nodes, ATTEMPTS).await, 3);
        let clients = format!("SELECT count(*) FROM client WHERE client_id = '{name}'");
        assert_eq!(number(&nodes, &clients).await, 1);
        let told = format!("SELECT count(*) FROM audit_event WHERE client_id = '{name}'");
        assert_eq!(number(&nodes, &told).await, 1);
    }
}

/// Statements that are an operation of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_that_was_undone_has_one_effect() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    for (code, generation) in CODES.into_iter().zip(1..) {
        in_the_way(&nodes, "UPDATE ON access_grant", code, 2).await;
        let rotated = nodes.scene.rotated(id, generation, at(10)).await;
        assert_eq!(rotated, (generation + 1, false), "{code}");
        assert_eq!(number(&nodes, ATTEMPTS).await, 3);

        let approval = nodes.scene.approved().await;
        in_the_way(&nodes, "UPDATE ON code", code, 2).await;
        let redeemed = nodes.of(0).redeem_code(redemption(&approval, at(1))).await;
        assert!(
            matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))),
            "{code}: {redeemed:?}"
        );
        assert_eq!(number(&nodes, ATTEMPTS).await, 3);

        in_the_way(&nodes, "INSERT ON issuance", code, 2).await;
        let issue = own(0);
        let issued = nodes.of(0).issue_own(issue.clone()).await;
        assert!(matches!(issued, Ok(OwnOutcome::Issued(_))), "{code}: {issued:?}");
        let tokens = format!(
            "SELECT count(*) FROM issuance WHERE jti = '{}'",
            issue.issuance.jti
        );
        assert_eq!(number(&nodes, &tokens).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_is_always_undone_is_unavailable_in_the_end() {
    let Some(nodes) = nodes().await else { return };
    let options = PostgresOptions {
        retry_for: Duration::from_secs(1),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(&nodes.url, &options).await.unwrap();
    in_the_way(&nodes, "INSERT ON client", "40001", 1_000_000).await;
    let refused = store.create_client(client("never", ClientSource::Admin)).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("40001")),
        "{refused:?}"
    );
    assert!(number(&nodes, ATTEMPTS).await > 3);
    assert_eq!(store.client("never").await, Ok(None));
}
