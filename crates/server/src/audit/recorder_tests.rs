use std::net::{IpAddr, Ipv4Addr};

use doorward_oauth::time::{ManualClock, UnixSeconds};
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{AuditFilter, PageRequest};
use http::HeaderMap;

use super::super::system;
use super::*;
use crate::random::OsRandom;

fn recorder() -> Recorder {
    Recorder::new(
        Arc::new(SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap()),
        Arc::new(ManualClock::new(UnixSeconds(1_800_000_000))),
        Arc::new(OsRandom::default()),
        Metrics::new(),
    )
}

fn info() -> RequestInfo {
    RequestInfo::new(
        "0707070707070707".into(),
        &HeaderMap::new(),
        IpAddr::V4(Ipv4Addr::LOCALHOST),
    )
}

async fn told(recorder: &Recorder) -> Vec<String> {
    recorder.settled().await;
    let page = recorder
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    let mut actors: Vec<String> = page
        .items
        .into_iter()
        .filter_map(|line| match line {
            doorward_store::AuditEntry::Event(event) => Some(event.actor.as_str().to_owned()),
            doorward_store::AuditEntry::Issued(_) => None,
        })
        .collect();
    actors.sort();
    actors
}

/// Clients that are refused faster than the database writes lose lines of their own alone.
#[tokio::test]
async fn a_flood_of_clients_leaves_room_for_operators_people_and_attempts_to_sign_in() {
    let recorder = recorder();
    let info = info();
    let taken = Arc::clone(&recorder.of_clients);
    let taken = taken.acquire_many(MOST_WAITING).await.unwrap();
    let refuse = |actor: Actor| {
        let refusal = Refusal::default();
        recorder.refuse(
            &info,
            &actor,
            AuditAction::RequestRefused,
            "invalid_request",
            refusal,
        );
    };
    let someone = UserId(uuid::Uuid::nil());
    refuse(Actor::Client("machine".to_owned()));
    refuse(Actor::AdminKey("first start".to_owned()));
    refuse(Actor::Person(someone));
    recorder.login_refused(&info, Some(someone), "wrong_password");
    recorder.login_refused(&info, Some(someone), "wrong_password");
    drop(taken);
    assert_eq!(told(&recorder).await, ["admin_key", "anyone", "anyone", "person"]);
    // What was lost is not taken for written.
    refuse(Actor::Client("machine".to_owned()));
    refuse(Actor::Client("machine".to_owned()));
    assert_eq!(
        told(&recorder).await,
        ["admin_key", "anyone", "anyone", "client", "person"]
    );
}

/// A database that was away for a moment has the refusals that came after it.
#[tokio::test]
async fn what_could_not_be_written_is_not_taken_for_written() {
    let recorder = recorder();
    let info = info();
    let someone = UserId(uuid::Uuid::nil());
    let actor = Actor::Client("machine".to_owned());
    recorder.store.close().await.unwrap();
    let action = AuditAction::RequestRefused;
    recorder.refuse(&info, &actor, action, "invalid_request", Refusal::default());
    recorder.login_refused(&info, Some(someone), "throttled");
    recorder.settled().await;
    let first = recorder.first(&actor, "invalid_request", &Refusal::default());
    assert!(first.is_some());
    let first = recorder.throttled.first(&someone, recorder.clock.now());
    assert!(first.is_some());
}

/// One minute in which the database was away does not silence the next.
#[tokio::test]
async fn a_replay_that_could_not_be_written_is_not_taken_for_written() {
    let (recorder, info) = (recorder(), info());
    let actor = Actor::Client("machine".to_owned());
    let acting = || {
        recorder
            .store
            .acting(system(recorder.random.as_ref(), recorder.clock.as_ref()))
    };
    let now = recorder.clock.now();
    let assertion = Spend {
        digest: [7; 32],
        until: now + std::time::Duration::from_mins(1),
        made_at: now,
    };
    let is_first = || {
        recorder
            .first(&actor, "used_before", &Refusal::default())
            .is_some()
    };
    recorder.store.spend(&[assertion]).await.unwrap();
    recorder.replayed(&info, &actor, acting(), assertion);
    recorder.settled().await;
    assert!(!is_first());
    let other = Actor::Client("other".to_owned());
    let acting = acting();
    recorder.store.close().await.unwrap();
    recorder.replayed(&info, &other, acting, assertion);
    recorder.settled().await;
    let first = recorder.first(&other, "used_before", &Refusal::default());
    assert!(first.is_some());
}

/// Whoever tries secrets of a client makes one row a minute, whatever they try.
#[tokio::test]
async fn wrong_credentials_are_told_once_a_minute_for_each_for_whom_they_were_shown() {
    let recorder = recorder();
    let info = info();
    for why in ["invalid_client", "invalid_token", "invalid_client"] {
        for name in ["one", "two"] {
            let mistaken = Mistaken::Client(name.to_owned());
            recorder.refuse_stranger(&info, &mistaken, why, Refusal::default());
        }
        recorder.refuse_stranger(&info, &Mistaken::Operator, why, Refusal::default());
    }
    assert_eq!(told(&recorder).await, ["anyone", "anyone", "anyone"]);
}

async fn counted(recorder: &Recorder) -> Vec<(String, u64)> {
    let page = recorder
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    let mut counted: Vec<_> = page
        .items
        .into_iter()
        .filter_map(|line| match line {
            doorward_store::AuditEntry::Event(event) if event.action == AuditAction::RefusalsCounted => {
                Some((event.refusal.unwrap(), event.detail["count"].as_u64().unwrap()))
            }
            _ => None,
        })
        .collect();
    counted.sort();
    counted
}

/// Nobody waits for a place, and no refusal is without a line.
#[tokio::test]
async fn what_found_no_place_to_wait_is_counted() {
    let (recorder, info) = (recorder(), info());
    let taken = Arc::clone(&recorder.of_clients);
    let taken = taken.acquire_many(MOST_WAITING).await.unwrap();
    let actor = Actor::Client("machine".to_owned());
    for _ in 0..3 {
        let action = AuditAction::RequestRefused;
        recorder.refuse(&info, &actor, action, "invalid_scope", Refusal::default());
    }
    drop(taken);
    recorder.write_counts().await.unwrap();
    assert_eq!(counted(&recorder).await, [("invalid_scope".to_owned(), 3)]);
    assert_eq!(told(&recorder).await, ["client"]);
}

/// However long the database is away: what could not be written, and what came since.
#[tokio::test]
async fn what_waits_for_the_database_is_bounded() {
    let (recorder, info) = (recorder(), info());
    recorder.store.close().await.unwrap();
    for _ in 0..10 {
        for status in 0..1000 {
            recorder.count(&info, ActorKind::Anyone, "invalid_request", Some(status));
        }
        assert!(recorder.write_counts().await.is_err());
    }
    let unwritten = recorder.unwritten.lock().await.len();
    let since = locked(&recorder.counts).take();
    let since: Vec<u64> = since.map(|(_, _, count)| count.number).collect();
    assert_eq!((unwritten, since.len()), (65, 65));
    assert_eq!(since.iter().sum::<u64>(), 9 * 1000);
}
