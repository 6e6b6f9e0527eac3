//! `PgBouncer` in transaction mode, with the lines of the book, before the server of a test.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

#[path = "ports.rs"]
pub(crate) mod ports;

use super::cluster::server::{UNPRIVILEGED, is_root, missing_program, unprivileged};
use super::cluster::{Cluster, shared};
use ports::free_port;

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

pub(crate) struct Pooler {
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
    pub(crate) fn start(beside: &Cluster, host: &Path) -> Option<Self> {
        let Some(program) = program() else {
            missing_program("pgbouncer", "no `pgbouncer` in PATH or /usr/sbin");
            return None;
        };
        let port = free_port();
        let directory = beside.directory.join("pgbouncer");
        std::fs::create_dir(&directory).unwrap();
        // Of the book but for who may come in, from where, and TLS.
        let ours = ["listen_", "auth_", "client_tls", "server_tls"];
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

    /// Within half a minute.
    fn answers(&self) -> bool {
        (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://doorward@127.0.0.1:{}/{database}", self.port)
    }
}

/// Before the process's server.
pub(crate) fn pooler() -> Option<&'static Pooler> {
    static POOLER: OnceLock<Option<Pooler>> = OnceLock::new();
    let start = || shared().and_then(|cluster| Pooler::start(cluster, &cluster.directory));
    POOLER.get_or_init(start).as_ref()
}
