//! A server that is gone without a word: connections stay open, and nothing comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_store::Store as _;
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::Instant;

use super::cluster::execute;
use super::template::database;
use crate::conformance::scene::{Opened, Scene, at_once};

/// Between a node and its server. Connections with a lower number than `silent_below` carry nothing any more.
pub(super) struct SilentProxy {
    pub(super) port: u16,
    opened: Arc<AtomicU32>,
    silent_below: Arc<AtomicU32>,
}

impl SilentProxy {
    pub(super) async fn start(socket: std::path::PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            opened: Arc::default(),
            silent_below: Arc::default(),
        };
        let (opened, silent_below) = (Arc::clone(&proxy.opened), Arc::clone(&proxy.silent_below));
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let number = opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(forward(node, server, number, Arc::clone(&silent_below)));
            }
        });
        proxy
    }

    /// New connections too.
    pub(super) fn stay_silent(&self) {
        self.silent_below.store(u32::MAX, Ordering::SeqCst);
    }

    fn fall_silent(&self) {
        let opened = self.opened.load(Ordering::SeqCst);
        self.silent_below.store(opened, Ordering::SeqCst);
    }
}

async fn forward(node: TcpStream, server: UnixStream, number: u32, silent_below: Arc<AtomicU32>) {
    let (mut from_node, mut to_node) = node.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = tokio::spawn(async move { tokio::io::copy(&mut from_node, &mut to_server).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        if number < silent_below.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to_node.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    questions.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_falls_silent_costs_each_waiting_caller_once() {
    const CONNECTIONS: usize = 6;
    let Some(database) = database().await else { return };
    let proxy = SilentProxy::start(database.cluster.directory.join(".s.PGSQL.5432")).await;
    let options = PostgresOptions {
        connections: CONNECTIONS,
        statement_timeout: Duration::from_millis(500),
        // Less than it takes to notice.
        retry_for: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    let url = format!("postgres://doorward@127.0.0.1:{}/{}", proxy.port, database.name);
    let store = Arc::new(PostgresStore::open(&url, &options).await.unwrap());
    // Every connection of the pool is open.
    while proxy.opened.load(Ordering::SeqCst) <= u32::try_from(CONNECTIONS).unwrap() {
        at_once(CONNECTIONS * 4, |_| {
            let store = Arc::clone(&store);
            async move { store.ping().await.unwrap() }
        })
        .await;
    }
    proxy.fall_silent();
    let start = Instant::now();
    // Tried again on a new connection.
    store.ping().await.unwrap();
    // The limit of a statement, and two seconds.
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(6), "{waited:?}");
    // The other connections were silent too, and nobody waits for them any more, for which it would take as long.
    let start = Instant::now();
    for _ in 0..CONNECTIONS * 2 {
        store.ping().await.unwrap();
    }
    let waited = start.elapsed();
    assert!(waited < Duration::from_millis(2_500), "{waited:?}");
    store.close().await.unwrap();
}

/// Each statement is answered in its time, and all of them together are not: that is no silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operation_that_waits_twice_is_not_taken_for_a_silent_server() {
    let Some(database) = database().await else { return };
    let options = PostgresOptions {
        statement_timeout: Duration::from_secs(8),
        ..PostgresOptions::default()
    };
    let url = database.url();
    let store = PostgresStore::open(&url, &options).await.unwrap();
    let opened = Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    };
    let scene = Scene::new(opened).await;
    // A sequence is not undone with a failed attempt.
    let slow = "CREATE SEQUENCE waits; \
                CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM nextval('waits'), pg_sleep(5.5); RETURN NEW; END $$; \
                CREATE TRIGGER wait BEFORE INSERT ON access_grant FOR EACH ROW EXECUTE FUNCTION wait(); \
                CREATE TRIGGER wait BEFORE INSERT ON code FOR EACH ROW EXECUTE FUNCTION wait()";
    execute(&url, slow).await;
    let start = Instant::now();
    scene.approved().await;
    // The limit of a statement, and two seconds.
    assert!(start.elapsed() > Duration::from_secs(10));
    let once = "DO $$ BEGIN ASSERT (SELECT last_value FROM waits) = 2; END $$";
    execute(&url, once).await;
}
