//! `kill -9` at any moment: what was answered is there, and nothing works twice.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{Approval, EndReason, GrantFilter, GrantId, GrantState, RedeemCode, RedeemOutcome};
use rusqlite::Connection;
use uuid::Uuid;

use crate::conformance::scene::{Opened, Scene, at, begin_numbers_at, digest, issuance};

const ROUNDS: u32 = 20;
/// Of every round.
const LEAST_ANSWERS: usize = 60;
const DATABASE: &str = "DOORWARD_STORE_CRASH_DATABASE";
const NUMBERS: &str = "DOORWARD_STORE_CRASH_NUMBERS";

fn open(path: &Path) -> Opened {
    let store = SqliteStore::open(path.to_str().unwrap(), &SqliteOptions::default()).unwrap();
    Opened {
        store: Arc::new(store),
        keep: Box::new(()),
    }
}

/// What the child was told by the store, one line each.
#[derive(Debug)]
enum Answered {
    Approved { code: u32, grant: GrantId },
    Redeemed { code: u32, grant: GrantId },
    Rotated { successor: u32, grant: GrantId },
    Revoked { grant: GrantId },
}

impl Answered {
    fn say(&self) {
        let line = match self {
            Self::Approved { code, grant } => format!("approved {} {code}\n", grant.0),
            Self::Redeemed { code, grant } => format!("redeemed {} {code}\n", grant.0),
            Self::Rotated { successor, grant } => format!("rotated {} {successor}\n", grant.0),
            Self::Revoked { grant } => format!("revoked {} 0\n", grant.0),
        };
        // One write for one line: a line is whole or not there.
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }

    fn hear(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (what, grant, number) = (words.next()?, words.next()?, words.next()?);
        let (grant, number) = (GrantId(Uuid::try_parse(grant).ok()?), number.parse().ok()?);
        match what {
            "approved" => Some(Self::Approved { code: number, grant }),
            "redeemed" => Some(Self::Redeemed { code: number, grant }),
            "rotated" => Some(Self::Rotated {
                successor: number,
                grant,
            }),
            "revoked" => Some(Self::Revoked { grant }),
            _ => None,
        }
    }
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by answered_operations_survive_kill_9"]
async fn child() {
    let (Ok(path), Ok(numbers)) = (std::env::var(DATABASE), std::env::var(NUMBERS)) else {
        return;
    };
    begin_numbers_at(numbers.parse().unwrap());
    let scene = Arc::new(Scene::again(open(Path::new(&path))).await);
    let workers: Vec<_> = (0..16).map(|_| tokio::spawn(work(Arc::clone(&scene)))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn work(scene: Arc<Scene>) {
    loop {
        let approval = scene.approved().await;
        let (code, grant) = (number_of(&approval), approval.grant.id);
        Answered::Approved { code, grant }.say();
        assert!(matches!(
            scene.redeem(&approval, at(1)).await,
            RedeemOutcome::Redeemed(_)
        ));
        Answered::Redeemed { code, grant }.say();
        for generation in 1..=4 {
            let (successor, _) = scene.rotated(grant, generation, at(2)).await;
            Answered::Rotated { successor, grant }.say();
        }
        if code % 3 == 0 {
            let only = GrantFilter::one(grant);
            scene
                .store
                .revoke_grants(only, EndReason::RevokedByUser, at(3))
                .await
                .unwrap();
            Answered::Revoked { grant }.say();
        }
    }
}

/// The number that the digest of its code was made of.
fn number_of(approval: &Approval) -> u32 {
    let (head, _) = approval.code.digest.split_first_chunk::<4>().unwrap();
    u32::from_be_bytes(*head)
}

fn run_and_kill(path: &Path, round: u32) -> Vec<Answered> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, path)
        .env(NUMBERS, ((round + 1) * 1_000_000).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let random = RandomState::new().build_hasher().finish();
    // By what it has done: a busy machine does less in the same time.
    let enough = LEAST_ANSWERS + usize::try_from(random % 300).unwrap();
    let (reached, wait) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut answered = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            answered.extend(Answered::hear(&line));
            if answered.len() == enough {
                reached.send(()).unwrap();
            }
        }
        answered
    });
    wait.recv_timeout(Duration::from_mins(1)).unwrap();
    // Not only right after an answer.
    std::thread::sleep(Duration::from_micros(random % 5_000));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_operations_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("doorward.db");
    drop(Scene::new(open(&path)).await);
    for round in 0..ROUNDS {
        let answered = run_and_kill(&path, round);
        begin_numbers_at((round + 1) * 1_000_000 + 500_000);
        let scene = Scene::again(open(&path)).await;
        for answer in &answered {
            assert_is_there(&scene, answer).await;
        }
        for answer in &answered {
            assert_works_only_once(&scene, answer).await;
        }
        scene.store.close().await.unwrap();
    }
    let check: String = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

async fn assert_is_there(scene: &Scene, answer: &Answered) {
    match answer {
        Answered::Approved { code, grant } => {
            let (code, found) = scene.store.code(&digest(2, *code)).await.unwrap().unwrap();
            assert_eq!((code.grant, found.id), (*grant, *grant));
        }
        Answered::Redeemed { code, grant } => {
            let (code, _) = scene.store.code(&digest(2, *code)).await.unwrap().unwrap();
            assert_eq!(code.redeemed_at, Some(at(1)));
            assert_ne!(scene.state(*grant).await, GrantState::Pending);
        }
        Answered::Rotated { successor, grant } => {
            assert!(scene.grant(*grant).await.generation >= *successor);
        }
        Answered::Revoked { grant } => {
            assert_eq!(
                scene.grant(*grant).await.end_reason,
                Some(EndReason::RevokedByUser)
            );
        }
    }
}

async fn assert_works_only_once(scene: &Scene, answer: &Answered) {
    match answer {
        Answered::Approved { .. } | Answered::Revoked { .. } => {}
        Answered::Redeemed { code, grant } => {
            // Not `redeem` on a live grant: a replay ends it, and its rotations are still to be looked at.
            if scene.state(*grant).await == GrantState::Ended {
                let again = RedeemCode {
                    digest: digest(2, *code),
                    replay_ends_grant: true,
                    refresh: None,
                    dpop_jkt: None,
                    issuance: issuance(*grant, at(4)),
                    now: at(4),
                };
                assert_eq!(
                    scene.store.redeem_code(again).await.unwrap(),
                    RedeemOutcome::Replayed
                );
            }
        }
        Answered::Rotated { successor, grant } => {
            let generation = scene.grant(*grant).await.generation;
            if scene.state(*grant).await == GrantState::Active {
                assert_eq!(
                    scene.rotated(*grant, successor - 1, at(4)).await,
                    (*successor, true)
                );
            }
            assert_eq!(scene.grant(*grant).await.generation, generation);
        }
    }
}
