//! What a request waits for: rotation, redemption, a token of a program's own and a proof are one question to the database each.

use std::sync::{Arc, Mutex};

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{OwnOutcome, RedeemOutcome, RotateOutcome, SpendOutcome, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::template::database;
use crate::conformance::own::own;
use crate::conformance::scene::{Opened, Scene, at, redemption, rotation};
use crate::conformance::spent::one;

/// The questions of each connection: a `Query`, or what a `Sync` ends.
type Questions = Arc<Mutex<Vec<u32>>>;

/// Between a node and its server, counting.
async fn counting_proxy(socket: std::path::PathBuf) -> (u16, Questions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let questions = Questions::default();
    let counted = Arc::clone(&questions);
    tokio::spawn(async move {
        while let Ok((node, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let number = {
                let mut all = counted.lock().unwrap();
                all.push(0);
                all.len() - 1
            };
            tokio::spawn(forward(node, server, number, Arc::clone(&counted)));
        }
    });
    (port, questions)
}

/// The messages that a node sends: a kind (but for the first one) and a length that counts itself.
async fn forward(node: TcpStream, server: UnixStream, number: usize, questions: Questions) {
    let (mut from_node, mut to_node) = node.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_node).await });
    let mut has_kind = false;
    loop {
        let mut message = vec![0; if has_kind { 5 } else { 4 }];
        if from_node.read_exact(&mut message).await.is_err() {
            break;
        }
        let length = u32::from_be_bytes(*message.last_chunk().unwrap());
        if has_kind && [b'Q', b'S'].contains(&message[0]) {
            questions.lock().unwrap()[number] += 1;
        }
        has_kind = true;
        let mut body = vec![0; length as usize - 4];
        if from_node.read_exact(&mut body).await.is_err() {
            break;
        }
        message.append(&mut body);
        if to_server.write_all(&message).await.is_err() {
            break;
        }
    }
    answers.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_busiest_operations_are_one_question_each() {
    let Some(database) = database().await else { return };
    let (port, questions) = counting_proxy(database.cluster.directory.join(".s.PGSQL.5432")).await;
    let options = PostgresOptions {
        connections: 1,
        ..PostgresOptions::default()
    };
    let url = format!("postgres://doorward@127.0.0.1:{port}/{}", database.name);
    let store = Arc::new(PostgresStore::open(&url, &options).await.unwrap());
    let scene = Scene::new(Opened {
        store: Arc::clone(&store) as Arc<dyn Store>,
        keep: Box::new(database),
    })
    .await;
    // The first connection is the pool's; the one that hears of changes comes after it.
    let asked = || questions.lock().unwrap()[0];
    // The first time statements are prepared.
    for round in 0..3 {
        let approval = scene.approved().await;
        let id = approval.grant.id;

        let before = asked();
        let redeemed = store.redeem_code(redemption(&approval, at(0))).await;
        let redemption = asked() - before;
        assert!(matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))), "{redeemed:?}");

        let before = asked();
        let rotated = store.rotate_refresh(rotation(id, 1, at(10))).await;
        let rotation_alone = asked() - before;
        assert!(
            matches!(rotated, Ok(RotateOutcome::Rotated { retry: false, .. })),
            "{rotated:?}"
        );

        // As the token endpoint does it: with a look at the grant. The node knows it from the second time on.
        let mut refreshes = Vec::new();
        for generation in 2..5 {
            let before = asked();
            let decide = Box::new(move |_: &_| Some(rotation(id, generation, at(10))));
            let used = store.use_refresh(id, decide).await;
            refreshes.push(asked() - before);
            assert!(
                matches!(used, Ok(Some(RotateOutcome::Rotated { retry: false, .. }))),
                "{used:?}"
            );
        }

        let before = asked();
        let issued = store.issue_own(own(0)).await;
        let own_token = asked() - before;
        assert!(matches!(issued, Ok(OwnOutcome::Issued(_))), "{issued:?}");

        // A proof, and the same again.
        let proof = [one(60)];
        let before = asked();
        assert_eq!(store.spend(&proof).await, Ok(SpendOutcome::Spent));
        let spent = asked() - before;
        let before = asked();
        assert_eq!(store.spend(&proof).await, Ok(SpendOutcome::UsedBefore(0)));
        let refused = asked() - before;

        if round > 0 {
            assert_eq!(
                [redemption, rotation_alone, own_token, spent, refused],
                [1; 5],
                "round {round}"
            );
            assert_eq!(refreshes[1..], [1, 1], "round {round}: {refreshes:?}");
        }
    }
}
