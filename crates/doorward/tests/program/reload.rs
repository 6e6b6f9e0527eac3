//! What takes effect when the program reads its settings again: what jobs, the end and new connections look up.

use std::fs;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::life::{configure, reload};
use crate::retention::{query, removed};
use crate::support::{ADMIN_KEY, MASTER_KEY, Place, Server, cluster, eventually, http};

const SERVE: [&str; 3] = ["serve", "--config", "doorward.toml"];
const READ: &str = "the configuration was read again";

/// What the audit list says of the reloads so far: `changed` and `at_next_start`.
async fn audited(server: &Server, number: usize) -> Vec<Value> {
    let url = format!("{}/admin/audit?action=settings.reloaded", server.admin_url);
    eventually("the reload is in the audit list", || async {
        let asked = http().get(&url).bearer_auth(ADMIN_KEY).send().await.ok()?;
        let list: Value = asked.json().await.ok()?;
        let details: Vec<_> = list["items"]
            .as_array()?
            .iter()
            .map(|line| line["detail"].clone())
            .collect();
        (details.len() == number).then_some(details)
    })
    .await
}

/// As a restart with the other retention does: what is past it goes, and partitions that have not begun are made anew.
#[tokio::test(flavor = "multi_thread")]
async fn another_retention_counts_without_a_restart() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = Place::new()
        .set("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY)
        .set("DOORWARD_STORAGE_URL", &database.url());
    place.run(&["migrate"]).success();
    let rows = "INSERT INTO audit_event (id, at, action, actor_kind, detail) \
         SELECT gen_random_uuid(), extract(epoch FROM now())::bigint - 40 * 86400, 'month', 'system', '{}' \
         FROM generate_series(1, 600)";
    cluster::execute(&database.url(), rows).await;
    configure(&place, "");
    let server = place.serve_with(&SERVE).await;
    let widest = async |table: &str| {
        let days = format!(
            "SELECT coalesce(max(to_date(d[2], 'YYYYMMDD') - to_date(d[1], 'YYYYMMDD')), 0) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, \
             regexp_match(c.relname::text, '_(\\d{{8}})_(\\d{{8}})$') AS d WHERE i.inhparent = '{table}'::regclass"
        );
        query(&database.url(), &days).await.get::<_, i32>(0)
    };
    eventually("the first run", || async {
        (widest("issuance").await > 3).then_some(())
    })
    .await;
    assert!(widest("audit_event").await > 7);
    assert_eq!(removed(&server, "audit_events").await, 0);

    configure(
        &place,
        "[audit]\nretention = \"30d\"\n[storage]\nretention = \"15d\"\n",
    );
    let told = reload(&server, READ).await;
    assert!(
        told.contains("\"changed\":\"storage.retention audit.retention\""),
        "{told}"
    );
    assert!(!told.contains("next start"), "{told}");
    eventually("what is older goes", || async {
        (removed(&server, "audit_events").await == 600).then_some(())
    })
    .await;
    eventually("partitions of the new width", || async {
        let (audited, issued) = (widest("audit_event").await, widest("issuance").await);
        ((1..=7).contains(&audited) && (1..=3).contains(&issued)).then_some(())
    })
    .await;
    let both = json!({"changed": ["storage.retention", "audit.retention"], "at_next_start": []});
    assert_eq!(audited(&server, 1).await, [both]);
    assert_eq!(server.stop().code, Some(0));
}

/// Whoever sets up a load balancer while a node runs need not lose requests by the restart that would take it over.
#[tokio::test]
async fn another_shutdown_delay_counts_at_the_next_end() {
    let place = Place::new();
    configure(&place, "");
    let mut server = place.serve_with(&SERVE).await;
    configure(&place, "[server]\nshutdown_delay = \"5m\"\n");
    let told = reload(&server, READ).await;
    assert!(told.contains("\"changed\":\"server.shutdown_delay\""), "{told}");
    server.process.terminate();
    let url = format!("{}/readyz", server.public_url);
    eventually("the node says that it leaves, and answers", || async {
        let answer = http().get(&url).send().await.ok()?;
        (answer.status() == 503).then_some(())
    })
    .await;
    assert!(server.process.try_wait().is_none());
    server.process.kill();
}

/// The database of the tests takes anybody; the files are read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_client_certificate_is_taken_and_told() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = Place::new().set("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY);
    let issue = || {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["doorward".to_owned()]).unwrap();
        fs::write(place.folder().join("client.pem"), cert.pem()).unwrap();
        fs::write(place.folder().join("client.key"), signing_key.serialize_pem()).unwrap();
    };
    issue();
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let text = format!("[storage]\nurl = \"{url}{separator}sslcert=client.pem&sslkey=client.key\"\n");
    configure(&place, &text);
    let server = place.serve_with(&SERVE).await;

    issue();
    let told = reload(&server, READ).await;
    assert!(
        told.contains("\"changed\":\"storage.url.sslcert storage.url.sslkey\""),
        "{told}"
    );
    let files = json!({"changed": ["storage.url.sslcert", "storage.url.sslkey"], "at_next_start": []});
    assert_eq!(audited(&server, 1).await, [files]);

    fs::write(place.folder().join("client.key"), "no key").unwrap();
    let told = reload(&server, "nothing has changed").await;
    assert!(told.contains("no private key in client.key"), "{told}");

    // Not of the settings any more, but of the connections.
    configure(&place, &format!("[storage]\nurl = \"{url}\"\n"));
    let told = reload(&server, READ).await;
    assert!(told.contains("what was read before"), "{told}");
    let left = json!({"changed": ["storage.url"], "at_next_start": ["storage.url"]});
    assert!(audited(&server, 2).await.contains(&left));
    assert_eq!(server.stop().code, Some(0));
}
