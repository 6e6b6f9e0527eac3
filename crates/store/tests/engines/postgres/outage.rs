//! The server dies and comes back; the wrong server, the wrong database.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use doorward_store::SpendOutcome::{Spent, UsedBefore};
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{ClientSource, GrantState, RedeemOutcome, RotateOutcome, Store as _, StoreError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::cluster::{Cluster, execute};
use super::failover::stop;
use super::operator::ask;
use super::template::database;
use crate::conformance::scene::{Opened, Scene, at, client, fresh, redemption, rotation};
use crate::conformance::spent::one;

/// `kill -9` to the server: every process of it dies as in a crash.
fn kill(cluster: &mut Cluster) {
    let pid = std::fs::read_to_string(cluster.directory.join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap();
    // So that it starts no more of them.
    signal("STOP", pid);
    let children: Vec<_> = processes()
        .into_iter()
        .filter(|[_, parent]| parent == pid)
        .map(|[child, _]| child)
        .collect();
    signal("KILL", pid);
    stop(cluster);
    // They notice that it is gone, and only then a new one may start.
    until_gone(&children);
}

fn until_gone(gone: &[String]) {
    for _ in 0..600 {
        if !processes().iter().any(|[process, _]| gone.contains(process)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("processes of the server that was killed are still there");
}

/// Every process that has not ended and that no test has stopped, with its parent.
fn processes() -> Vec<[String; 2]> {
    let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat="]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let read = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [process, parent, state] if !state.starts_with(['Z', 'T']) => {
            Some([process, parent].map(ToOwned::to_owned))
        }
        _ => None,
    };
    listed.lines().filter_map(read).collect()
}

fn signal(name: &str, pid: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), pid]).status();
    assert!(sent.unwrap().success(), "{name} {pid}");
}

fn options(retry_for: Duration) -> PostgresOptions {
    PostgresOptions {
        retry_for,
        ..PostgresOptions::default()
    }
}

async fn scene_on(cluster: &Cluster, retry_for: Duration) -> Scene {
    execute(&cluster.url("postgres"), "CREATE DATABASE doorward").await;
    let store = PostgresStore::open(&cluster.url("doorward"), &options(retry_for)).await;
    Scene::new(Opened {
        store: Arc::new(store.unwrap()),
        keep: Box::new(()),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_server_is_unavailable_until_it_is_back() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let scene = scene_on(&cluster, Duration::from_millis(200)).await;
    let id = scene.active().await;
    assert_eq!(scene.rotated(id, 1, at(1)).await, (2, false));
    kill(&mut cluster);
    for _ in 0..3 {
        let answer = scene.store.rotate_refresh(rotation(id, 2, at(2))).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert!(matches!(
            scene.store.ping().await,
            Err(StoreError::Unavailable(_))
        ));
        assert!(matches!(
            scene.store.grant(id).await,
            Err(StoreError::Unavailable(_))
        ));
        let approval = scene.approval();
        assert!(matches!(
            scene.store.approve(approval).await,
            Err(StoreError::Unavailable(_))
        ));
    }
    cluster.run();
    scene.store.ping().await.unwrap();
    assert_eq!(scene.rotated(id, 2, at(3)).await, (3, false));
    scene.approved().await;
}

/// Callers at work while the server crashes and restarts: each waits for it, and each single-use thing is used
/// once by its own caller, whatever happened to the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_under_load_loses_nothing_and_does_nothing_twice() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let scene = Arc::new(scene_on(&cluster, Duration::from_secs(30)).await);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..24)
        .map(|_| {
            let (scene, stop) = (Arc::clone(&scene), Arc::clone(&stop));
            tokio::spawn(async move { work(&scene, &stop).await })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        cluster = tokio::task::spawn_blocking(move || {
            kill(&mut cluster);
            cluster.run();
            cluster
        })
        .await
        .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    stop.store(true, Ordering::Relaxed);
    let mut rotations = 0;
    for caller in callers {
        rotations += caller.await.unwrap();
    }
    assert!(rotations > 100, "{rotations}");
}

/// Every few answers are cut off after the server has done its work, and the connection with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_answers_do_nothing_twice() {
    let Some(database) = database().await else { return };
    let proxy = LossyProxy::start(&database.cluster.directory.join(".s.PGSQL.5432")).await;
    let url = format!("postgres://doorward@127.0.0.1:{}/{}", proxy.port, database.name);
    let store = PostgresStore::open(&url, &options(Duration::from_secs(30))).await;
    let opened = Opened {
        store: Arc::new(store.unwrap()),
        keep: Box::new(database),
    };
    let scene = Arc::new(Scene::new(opened).await);
    proxy.cut.store(true, Ordering::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..12)
        .map(|_| {
            let (scene, stop) = (Arc::clone(&scene), Arc::clone(&stop));
            tokio::spawn(async move { work(&scene, &stop).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let lost = proxy.lost.load(Ordering::Relaxed);
    assert!(lost > 20, "only {lost} answers were lost");
}

/// Whoever may have used something up without hearing of it is not told that somebody else did, and nobody uses it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_used_up_without_an_answer_is_neither_good_again_nor_a_replay() {
    let Some(database) = database().await else { return };
    let proxy = LossyProxy::start(&database.cluster.directory.join(".s.PGSQL.5432")).await;
    let url = format!("postgres://doorward@127.0.0.1:{}/{}", proxy.port, database.name);
    let store = PostgresStore::open(&url, &options(Duration::from_secs(30)))
        .await
        .unwrap();
    proxy.cut.store(true, Ordering::Relaxed);
    let (spend, why) = loop {
        // What was lost before the proof was used up is made good.
        let spend = [one(60)];
        match store.spend(&spend).await {
            Ok(Spent) => {}
            Err(StoreError::Unavailable(why)) => break (spend, why),
            other => panic!("{other:?}"),
        }
    };
    assert!(why.contains("not known whether it happened"), "{why}");
    proxy.cut.store(false, Ordering::Relaxed);
    assert_eq!(store.spend(&spend).await, Ok(UsedBefore(0)));
}

/// PostgreSQL gives the number of a transaction again when a crash took all that its log knew of it. What another one did
/// under this number must not be taken for the first one's commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_lost_in_a_crash_is_not_mistaken_for_the_next_one_of_its_number() {
    let Some(mut cluster) = Cluster::make() else {
        return;
    };
    // Nothing reaches the log before it has to.
    cluster.configure("postgresql.conf", "bgwriter_lru_maxpages = 0\nautovacuum = off\n");
    cluster.run();
    execute(&cluster.url("postgres"), "CREATE DATABASE doorward").await;
    let proxy = LossyProxy::start(&cluster.directory.join(".s.PGSQL.5432")).await;
    let url = format!("postgres://doorward@127.0.0.1:{}/doorward", proxy.port);
    let store = PostgresStore::open(&url, &options(Duration::from_secs(30))).await;
    let opened = Opened {
        store: Arc::new(store.unwrap()),
        keep: Box::new(()),
    };
    let scene = Arc::new(Scene::new(opened).await);
    let of_log = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
    let writer_of_log = ask(&cluster, "doorward", of_log);
    signal("STOP", &writer_of_log);
    proxy.hold.store(true, Ordering::Relaxed);
    let caller = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.approved().await }
    });
    let (number, cluster) = tokio::task::spawn_blocking(move || {
        let number = loop {
            let held = "SELECT backend_xid FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL";
            if let Ok(number) = ask(&cluster, "doorward", held).parse::<u64>() {
                break number;
            }
        };
        kill(&mut cluster);
        signal("KILL", &writer_of_log);
        until_gone(std::slice::from_ref(&writer_of_log));
        cluster.run();
        // Others come first.
        while ask(&cluster, "doorward", "SELECT pg_current_xact_id()").parse::<u64>().unwrap() < number {}
        assert_eq!(ask(&cluster, "doorward", &format!("SELECT pg_xact_status('{number}')")), "committed");
        (number, cluster)
    })
    .await
    .unwrap();
    proxy.hold.store(false, Ordering::Relaxed);
    let approval = caller.await.unwrap();
    let redeemed = scene.store.redeem_code(redemption(&approval, at(1))).await;
    assert!(
        matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))),
        "{number}: {redeemed:?}"
    );
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sweep_forgets_the_marks_of_transactions_that_nobody_asks_about_any_more() {
    let Some(database) = database().await else { return };
    let url = database.url();
    let store = PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap();
    let scene = Scene::new(Opened {
        store: Arc::new(store),
        keep: Box::new(()),
    })
    .await;
    scene.approved().await;
    let count = || -> u32 {
        let query = "SELECT count(*) FROM transaction_mark";
        ask(database.cluster, &database.name, query).parse().unwrap()
    };
    let recent = count();
    assert!(recent > 0);
    let long_ago = "INSERT INTO transaction_mark SELECT extract(epoch FROM now()) - 7300, gen_random_uuid() FROM generate_series(1, 450)";
    execute(&url, long_ago).await;
    let sweep = async || {
        let swept = scene.store.sweep(at(0), Duration::from_hours(24), 20).await;
        let swept = swept.unwrap();
        let marks = swept.kinds().find(|(name, _)| *name == "transaction_marks");
        marks.unwrap().1
    };
    // Its own transactions leave marks too.
    assert_eq!([sweep().await, sweep().await, sweep().await], [400, 50, 0]);
    assert!(count() >= recent);
}

/// Between the nodes and the server: loses one answer in thirty-seven once it may. Holds each
/// COMMIT back, and every new connection, as long as it is told to.
struct LossyProxy {
    port: u16,
    cut: Arc<AtomicBool>,
    hold: Arc<AtomicBool>,
    lost: Arc<AtomicU32>,
}

impl LossyProxy {
    async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
            hold: Arc::default(),
            lost: Arc::default(),
        };
        let (cut, lost) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.lost));
        let hold = Arc::clone(&proxy.hold);
        let (socket, answers) = (socket.to_owned(), Arc::new(AtomicU32::new(0)));
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                while hold.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let server = UnixStream::connect(&socket).await.unwrap();
                let (cut, lost, answers) = (Arc::clone(&cut), Arc::clone(&lost), Arc::clone(&answers));
                let hold = Arc::clone(&hold);
                tokio::spawn(async move {
                    let is_lost = || {
                        let now = cut.load(Ordering::Relaxed)
                            && answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(37);
                        lost.fetch_add(u32::from(now), Ordering::Relaxed);
                        now
                    };
                    forward(node, server, hold, is_lost).await;
                });
            }
        });
        proxy
    }
}

async fn forward(node: TcpStream, server: UnixStream, hold: Arc<AtomicBool>, is_lost: impl Fn() -> bool) {
    let (mut from_node, mut to_node) = node.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_node.read(&mut buffer).await {
            let question = &buffer[..length];
            if hold.load(Ordering::Relaxed) && question.windows(7).any(|window| window == b"COMMIT\0") {
                std::future::pending::<()>().await;
            }
            if to_server.write_all(question).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        if is_lost() || to_node.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    questions.abort();
}

/// Approves, redeems and rotates with tokens that nobody else has, so every answer is known beforehand.
async fn work(scene: &Scene, stop: &AtomicBool) -> u32 {
    let mut rotations = 0;
    while !stop.load(Ordering::Relaxed) {
        let approval = scene.approved().await;
        let redeemed = scene.store.redeem_code(redemption(&approval, at(1))).await;
        assert!(matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))), "{redeemed:?}");
        spent_once(scene).await;
        let id = approval.grant.id;
        let name = format!("client-{}", fresh());
        let created = scene
            .store
            .create_client(client(&name, ClientSource::Admin))
            .await;
        assert_eq!(created, Ok(()));
        for generation in 1..=20 {
            let rotate = rotation(id, generation, at(2));
            let jti = rotate.issuance.jti.clone();
            match scene.store.rotate_refresh(rotate).await {
                Ok(RotateOutcome::Rotated { successor, retry, .. }) => {
                    assert_eq!((successor, retry), (generation + 1, false));
                }
                other => panic!("{other:?}"),
            }
            assert!(scene.store.issuance(&jti).await.unwrap().is_some());
            rotations += 1;
        }
        let grant = scene.grant(id).await;
        assert_eq!((grant.state, grant.generation), (GrantState::Active, 21));
    }
    rotations
}

/// Two at once, and one afterwards: one of them is told that it counted, or all of them that it is not known or was before.
async fn spent_once(scene: &Scene) {
    let (alone, together) = ([one(60)], [one(60), one(60)]);
    for spends in [&alone[..], &together[..]] {
        let spend = || scene.store.spend(spends);
        let (first, second) = tokio::join!(spend(), spend());
        let answers = [first, second, spend().await];
        let counted = answers.iter().filter(|answer| **answer == Ok(Spent)).count();
        let unknown = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(counted == 1 || counted == 0 && unknown > 0, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_wrong_at_the_start_is_told() {
    let Some(database) = database().await else { return };
    let open = async |url: String| match PostgresStore::open(&url, &PostgresOptions::default()).await {
        Err(error) => error,
        Ok(_) => panic!("opened {url}"),
    };
    let url = database.url();
    let missing = open(format!("{url}_missing")).await;
    assert!(
        matches!(&missing, StoreError::Unusable(why) if why.contains("create the database")),
        "{missing}"
    );
    let stranger = open(url.replace("doorward@", "stranger@")).await;
    assert!(
        matches!(&stranger, StoreError::Unusable(why) if why.contains("user and password")),
        "{stranger}"
    );
    let nobody = open("postgres://doorward@127.0.0.1:1/doorward".to_owned()).await;
    assert!(
        matches!(&nobody, StoreError::Unavailable(why) if why.contains("cannot be reached")),
        "{nobody}"
    );
}
