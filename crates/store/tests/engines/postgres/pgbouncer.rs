//! Behind `PgBouncer` in transaction mode, with the lines of the book: everything works as without it.

use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{RotateOutcome, Store, StoreError};

use super::cluster::server::{UNPRIVILEGED, is_root, missing_program, unprivileged};
use super::cluster::{Cluster, Database, shared};
use super::template;
use crate::conformance::scene::{Opened, Scene, at, at_once, rotation};

/// What deploy.md tells operators to write.
const BOOK: &str = include_str!("../../../../../docs/src/how-to/deploy.md");
/// As long as its standard input: when this process ends, however it ends, so does the pooler.
const KEEPER: &str = r#"
    "$1" "$2/pgbouncer.ini" >"$2/pgbouncer.log" 2>&1 </dev/null &
    pooler=$!
    cat >/dev/null
    kill -INT "$pooler"
    wait "$pooler"
"#;

pub(super) struct Pooler {
    port: u16,
    /// Ends with the process.
    _keeper: Child,
}

/// The section `[pgbouncer]` of the book.
fn settings_of_the_book() -> &'static str {
    let (_, after) = BOOK.split_once("[pgbouncer]\n").unwrap();
    after.split_once("```").unwrap().0
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| program.exists())
}

fn keep(program: &Path, directory: &Path) -> Child {
    unprivileged(Path::new("/bin/sh"))
        .args(["-c", KEEPER, "sh"])
        .args([program, directory])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Pooler {
    /// With its files beside those of this server; `host`: the folder of the socket of the server that it leads to.
    pub(super) fn start(beside: &Cluster, host: &Path) -> Option<Self> {
        let Some(program) = program() else {
            missing_program("pgbouncer", "no `pgbouncer` in PATH or /usr/sbin");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let directory = beside.directory.join("pgbouncer");
        std::fs::create_dir(&directory).unwrap();
        // Of the book but for who may come in, and from where.
        let ours = ["listen_", "auth_", "server_tls"];
        let kept = settings_of_the_book()
            .lines()
            .filter(|line| !ours.iter().any(|key| line.starts_with(key)));
        let kept: Vec<&str> = kept.collect();
        let settings = format!(
            "[databases]\n* = host={}\n[pgbouncer]\n{}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}/users\n",
            host.display(),
            kept.join("\n"),
            directory.display()
        );
        std::fs::write(directory.join("pgbouncer.ini"), settings).unwrap();
        std::fs::write(directory.join("users"), "\"doorward\" \"\"\n").unwrap();
        if is_root() {
            let owner = Some(UNPRIVILEGED);
            std::os::unix::fs::chown(&directory, owner, owner).unwrap();
        }
        let pooler = Self {
            port,
            _keeper: keep(&program, &directory),
        };
        assert!(
            pooler.answers(),
            "PgBouncer does not start: {}",
            std::fs::read_to_string(directory.join("pgbouncer.log")).unwrap_or_default()
        );
        Some(pooler)
    }

    /// Within ten seconds.
    fn answers(&self) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        })
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://doorward@127.0.0.1:{}/{database}", self.port)
    }
}

pub(super) fn pooler() -> Option<&'static Pooler> {
    static POOLER: OnceLock<Option<Pooler>> = OnceLock::new();
    let start = || shared().and_then(|cluster| Pooler::start(cluster, &cluster.directory));
    POOLER.get_or_init(start).as_ref()
}

async fn pooled(database: &Database) -> Option<PostgresStore> {
    pooled_by(database, 8).await
}

async fn pooled_by(database: &Database, connections: usize) -> Option<PostgresStore> {
    let pooler = tokio::task::spawn_blocking(pooler).await.unwrap()?;
    let options = PostgresOptions {
        connections,
        transaction_pooler: true,
        ..PostgresOptions::default()
    };
    Some(
        PostgresStore::open(&pooler.url(&database.name), &options)
            .await
            .unwrap(),
    )
}

pub(crate) async fn opened() -> Option<Opened> {
    let database = template::database().await?;
    let store = pooled(&database).await?;
    Some(Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    })
}

crate::conformance::conformance!(crate::postgres::pgbouncer::opened);

/// Without the setting, the start says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_setting_the_start_names_it() {
    let Some(database) = template::database().await else {
        return;
    };
    let Some(pooler) = tokio::task::spawn_blocking(pooler).await.unwrap() else {
        return;
    };
    let refused = PostgresStore::open(&pooler.url(&database.name), &PostgresOptions::default()).await;
    assert!(matches!(
        refused,
        Err(StoreError::Unusable(why)) if why.contains("set storage.transaction_pooler = true")
    ));
}

/// An empty database: the schema's steps pass the pooler too. And more callers than sessions share what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_schema_is_made_through_a_pooler_and_nodes_share_its_sessions() {
    let Some(database) = super::cluster::empty_database().await else {
        return;
    };
    let Some(first) = pooled(&database).await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(first);
    let second: Arc<dyn Store> = Arc::new(pooled(&database).await.unwrap());
    let scene = Scene::new(Opened {
        store,
        keep: Box::new(()),
    });
    let scene = Arc::new(scene.await);
    let rotated = at_once(100, |caller| {
        let (scene, second) = (Arc::clone(&scene), Arc::clone(&second));
        async move {
            let rotate = rotation(scene.active().await, 1, at(1));
            let node = if caller % 2 == 0 { &*second } else { &*scene.store };
            node.rotate_refresh(rotate).await.unwrap()
        }
    })
    .await;
    assert!(
        rotated
            .iter()
            .all(|outcome| matches!(outcome, RotateOutcome::Rotated { successor: 2, .. }))
    );
    // Nothing is left behind in the server's sessions: no name of a statement, no lock.
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    driver.abort();
    second.close().await.unwrap();
}

/// The server is up to date but for an index, says so, and works.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_of_a_new_version_needs_a_straight_way_to_the_server() {
    let Some(database) = super::indexes::without_the_index().await else {
        return;
    };
    let Some(store) = pooled(&database).await else {
        return;
    };
    store.ping().await.unwrap();
    let refused = store.make_indexes(&|_, _| {}).await;
    assert!(
        matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("run `doorward migrate` once with a URL")),
        "{refused:?}"
    );
    let straight = PostgresStore::open(&database.url(), &PostgresOptions::default()).await;
    assert_eq!(straight.unwrap().make_indexes(&|_, _| {}).await, Ok(true));
    assert_eq!(store.make_indexes(&|_, _| {}).await, Ok(true));
}

/// [CRASH] Whoever goes away while the types of a statement are asked for leaves no transaction to the next one.
/// On one thread: what answers the first question cannot run before the question is abandoned.
#[tokio::test]
async fn what_follows_an_abandoned_operation_is_durable() {
    let Some(database) = template::database().await else {
        return;
    };
    let Some(store) = pooled_by(&database, 1).await else {
        return;
    };
    let scene = Scene::new(Opened {
        store: Arc::new(store),
        keep: Box::new(()),
    })
    .await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let grant = scene.active().await;
    // From here on the types of its statements are known.
    let first = scene
        .store
        .rotate_refresh(rotation(grant, 1, at(1)))
        .await
        .unwrap();
    assert!(matches!(first, RotateOutcome::Rotated { .. }));
    {
        let abandoned = pin!(scene.store.audit_event(uuid::Uuid::nil()));
        assert!(
            abandoned
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    let rotate = rotation(grant, 2, at(2));
    let jti = rotate.issuance.jti.clone();
    let second = scene.store.rotate_refresh(rotate).await.unwrap();
    assert!(matches!(second, RotateOutcome::Rotated { .. }));
    let kept = "SELECT count(*) FROM issuance WHERE jti = $1";
    assert_eq!(client.query_one(kept, &[&jti]).await.unwrap().get::<_, i64>(0), 1);
    driver.abort();
}
