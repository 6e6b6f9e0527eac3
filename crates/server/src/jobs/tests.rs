use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use doorward_oauth::time::{ManualClock, UnixSeconds};
use doorward_store::{
    ActorKind, AuditAction, AuditEntry, AuditFilter, CLOCK_ERROR, Client, ClientSource, Digest, PageRequest,
    SealedSecret, Spend, SpendOutcome, StoreError,
};
use tokio_postgres::NoTls;
use tower::ServiceExt as _;

use super::*;
use crate::AuthorizationServer;
use crate::captured::Captured;
use crate::config::{Settings, Span};
use crate::context::Parts;
use crate::random::OsRandom;
use crate::test_engine as engine;

/// What lives as long as the server: its folder, and its database.
type Home = (tempfile::TempDir, engine::Engine);

/// A server, its clock, and where it lives.
async fn server() -> (AuthorizationServer, ManualClock, Home) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let database = engine::Engine::for_a_test(&mut settings, folder.path()).await;
    settings.storage.retention = Span::days(10);
    let clock = ManualClock::new(UnixSeconds(1_800_000_000));
    let parts = Parts {
        clock: Arc::new(clock.clone()),
        random: Arc::new(OsRandom::default()),
    };
    (
        AuthorizationServer::open(settings, parts).await.unwrap(),
        clock,
        (folder, database),
    )
}

/// So many things that count once, for a minute from now.
async fn spend(ctx: &Context, number: u16) {
    for number in 0..number {
        let mut digest = Digest::default();
        digest[..2].copy_from_slice(&number.to_be_bytes());
        let spend = Spend {
            digest,
            until: ctx.now() + Duration::from_mins(1),
            made_at: ctx.now(),
        };
        assert_eq!(ctx.store.spend(&[spend]).await, Ok(SpendOutcome::Spent));
    }
}

/// Removes when it is its turn: PostgreSQL ends the turn before a moment after it was dropped.
async fn remove_what_is_past(ctx: &Context) {
    while !retention::run(ctx).await.unwrap() {}
}

fn removed(ctx: &Context, kind: &str) -> u64 {
    let text = ctx.metrics.encode().unwrap();
    let name = format!("doorward_rows_removed_total{{kind=\"{kind}\"}} ");
    let number = text.lines().find_map(|line| line.strip_prefix(&name));
    number.map_or(0, |number| number.parse().unwrap())
}

/// More than a batch.
#[tokio::test]
async fn what_is_past_its_use_is_removed_to_the_last_row_and_counted() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    spend(&ctx, 1201).await;
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "spent"), 0);
    clock.advance(Duration::from_mins(2) + CLOCK_ERROR);
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "spent"), 1201);
}

#[tokio::test]
async fn one_node_at_a_time_removes() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    spend(&ctx, 3).await;
    clock.advance(Duration::from_mins(2) + CLOCK_ERROR);
    let another = ctx.store.turn("retention").await.unwrap();
    assert!(!retention::run(&ctx).await.unwrap());
    assert_eq!(removed(&ctx, "spent"), 0);
    drop(another);
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "spent"), 3);
}

#[tokio::test]
async fn one_node_at_a_time_makes_the_next_signing_key() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    let another = ctx.store.turn("keys").await.unwrap();
    clock.advance(ctx.settings.keys.rotation.duration().unwrap());
    keys::look(&ctx).await.unwrap();
    assert_eq!(ctx.keys.statuses().len(), 1);
    drop(another);
    // PostgreSQL ends the turn before a moment after it was dropped.
    let looking = async {
        while ctx.keys.is_rotation_due() {
            keys::look(&ctx).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_mins(1), looking)
        .await
        .unwrap();
    assert_eq!(ctx.keys.statuses().len(), 2);
}

#[tokio::test]
async fn old_signing_keys_are_forgotten_after_the_retention() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    ctx.keys.rotate_now().await.unwrap();
    clock.advance(Duration::from_hours(10 * 24));
    remove_what_is_past(&ctx).await;
    keys::look(&ctx).await.unwrap();
    assert_eq!(ctx.keys.statuses().len(), 2);
    clock.advance(Duration::from_secs(1));
    remove_what_is_past(&ctx).await;
    keys::look(&ctx).await.unwrap();
    assert_eq!(ctx.keys.statuses().len(), 1);
    assert_eq!(removed(&ctx, "signing_keys"), 1);
}

/// A store that is away is told of once, and counted.
#[tokio::test]
async fn a_job_that_fails_says_so() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    ctx.store.close().await.unwrap();
    clock.advance(Duration::from_mins(1));
    assert!(retention::run(&ctx).await.is_err());
    assert!(keys::look(&ctx).await.is_err());
    ctx.metrics.job("keys", ctx.now(), false);
    let text = ctx.metrics.encode().unwrap();
    assert!(
        text.contains("doorward_job_runs_total{job=\"keys\",outcome=\"failed\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("doorward_job_done_timestamp_seconds{job=\"keys\"} 1800000000"),
        "the start is when it stood still from: {text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_every_second_is_told_of_once_a_minute_and_when_it_is_done_again() {
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone());
    let count = |level| log.text().lines().filter(|line| line.contains(level)).count();
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let (outage, away) = (Outage::default(), StoreError::Unavailable("away".to_owned()));
    for _ in 0..180 {
        tell("keys", &outage, Some(&away));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!((count("ERROR"), count("INFO")), (3, 0));
    for _ in 0..60 {
        tell("keys", &outage, None::<&StoreError>);
    }
    assert_eq!((count("ERROR"), count("INFO")), (3, 1));
}

/// Does something to the database that the server knows nothing of.
async fn behind_its_back(ctx: &Context, sql: &str) {
    let url: &str = &ctx.settings.storage.url;
    if let Some(file) = url.strip_prefix("sqlite://") {
        let database = rusqlite::Connection::open(file).unwrap();
        return database.execute_batch(sql).unwrap();
    }
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// How often somebody without a credential was refused.
async fn refuse(server: &AuthorizationServer, times: usize) {
    for _ in 0..times {
        let request = Request::get("/admin/clients").header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let response = server.routers().admin.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

async fn counted(ctx: &Context) -> Vec<u64> {
    let filter = AuditFilter {
        action: Some(AuditAction::RefusalsCounted),
        ..AuditFilter::default()
    };
    let page = ctx.store.audit_entries(filter, PageRequest::default()).await;
    let lines = page.unwrap().items.into_iter().rev();
    let count = |line| match line {
        AuditEntry::Event(event) => event.detail["count"].as_u64().unwrap(),
        AuditEntry::Issued(_) => 0,
    };
    lines.map(count).collect()
}

/// What was to be written when it went, and everything since: each is told once.
#[tokio::test]
async fn counts_that_the_database_did_not_take_are_written_when_it_is_there_again() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    behind_its_back(&ctx, "ALTER TABLE audit_event RENAME TO elsewhere").await;
    for times in [2, 3, 4] {
        refuse(&server, times).await;
        clock.advance(WRITE_COUNTS_EVERY);
        assert!(ctx.audit.write_counts().await.is_err());
    }
    behind_its_back(&ctx, "ALTER TABLE elsewhere RENAME TO audit_event").await;
    for _ in 0..2 {
        ctx.audit.write_counts().await.unwrap();
        assert_eq!(counted(&ctx).await, [2, 7]);
    }
}

#[tokio::test]
async fn a_server_that_runs_writes_its_counts() {
    let (server, _clock, _home) = server().await;
    let ctx = server.context();
    refuse(&server, 2).await;
    let written = async {
        while counted(&ctx).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = write_counts(&ctx) => {}
        () = written => {}
    }
    assert_eq!(counted(&ctx).await, [2]);
}

/// The partitions of the audit list cannot be kept, where there are any, and its events not be forgotten.
#[tokio::test]
async fn a_step_that_fails_stops_no_other_one_and_the_run_has_failed() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    spend(&ctx, 3).await;
    clock.advance(Duration::from_mins(2) + CLOCK_ERROR);
    behind_its_back(&ctx, "ALTER TABLE audit_event RENAME TO elsewhere").await;
    let outcome = loop {
        match retention::run(&ctx).await {
            Ok(false) => {}
            outcome => break outcome,
        }
    };
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(removed(&ctx, "spent"), 3);
    behind_its_back(&ctx, "ALTER TABLE elsewhere RENAME TO audit_event").await;
    remove_what_is_past(&ctx).await;
}

/// Of the audit list, for `audit.retention`; more than a batch.
#[tokio::test]
async fn audit_events_are_removed_after_their_time_to_the_last_one_and_counted() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    let at_start = 2;
    for number in 0..600 {
        let proposed = SealedSecret(vec![1]);
        let purpose = format!("purpose-{number}");
        ctx.as_system().secret(&purpose, proposed).await.unwrap();
    }
    clock.advance(Duration::from_hours(90 * 24));
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "audit_events"), 0);
    clock.advance(Duration::from_secs(1));
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "audit_events"), 600 + at_start);
    let left = ctx
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default());
    assert_eq!(left.await.unwrap().items, []);
}

/// More than a batch.
#[tokio::test]
async fn clients_that_nobody_ended_leave_a_line_for_each_batch() {
    let (server, clock, _home) = server().await;
    let ctx = server.context();
    for number in 0..501 {
        let client = Client {
            client_id: format!("dwc_{number}"),
            source: ClientSource::Dynamic,
            metadata: "{}".to_owned(),
            secrets: Vec::new(),
            fingerprint: String::new(),
            resource_server: None,
            registration_token: None,
            disabled: false,
            created_at: ctx.now(),
            updated_at: ctx.now(),
        };
        ctx.store.create_client(client).await.unwrap();
    }
    let told = async || {
        let filter = AuditFilter {
            action: Some(AuditAction::ClientExpired),
            actor: Some(ActorKind::System),
            ..AuditFilter::default()
        };
        let page = PageRequest {
            after: None,
            limit: 100,
        };
        let lines = ctx.store.audit_entries(filter, page).await.unwrap().items;
        let mut numbers: Vec<_> = lines
            .iter()
            .map(|line| match line {
                AuditEntry::Event(event) => event.detail.get("clients").and_then(serde_json::Value::as_u64),
                AuditEntry::Issued(_) => None,
            })
            .collect();
        numbers.sort_unstable();
        numbers
    };
    clock.advance(Duration::from_hours(10 * 24));
    remove_what_is_past(&ctx).await;
    assert_eq!(told().await, []);
    clock.advance(Duration::from_secs(1));
    remove_what_is_past(&ctx).await;
    assert_eq!(removed(&ctx, "unused_clients"), 501);
    assert_eq!(told().await, [Some(1), Some(500)]);
    remove_what_is_past(&ctx).await;
    assert_eq!(told().await, [Some(1), Some(500)]);
}

#[tokio::test]
async fn a_run_that_panics_has_failed_and_the_next_one_comes() {
    let run = unless_it_panics(async { panic!("a row that nobody can read") });
    let failed: Result<(), Failed<StoreError>> = run.await;
    assert_eq!(failed.unwrap_err().to_string(), "it panicked");
    let run = unless_it_panics(async { Ok::<_, StoreError>(1) });
    assert_eq!(run.await.unwrap(), 1);
}
