//! A PostgreSQL server in a temporary directory, reached by its socket alone, gone with the process that started it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// `required` makes a missing server a failure instead of a skip.
const SETTING: &str = "DOORWARD_TEST_POSTGRES";
/// The major version that has to run; any will do without it.
const VERSION: &str = "DOORWARD_TEST_POSTGRES_VERSION";
/// `initdb` and the server refuse to run as root.
pub(crate) const UNPRIVILEGED: u32 = 65534;
/// Lives as long as its standard input: when this process ends, however it ends, so do server and data.
const KEEPER: &str = r#"
    "$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
    server=$!
    cat >/dev/null
    kill -QUIT "$server"
    wait "$server"
    [ -e "$2/restart" ] || rm -rf "$2"
"#;
/// Not durable: what is tested survives the server's end, not the machine's.
const SETTINGS: &str = "\nlisten_addresses = ''\nmax_connections = 300\nshared_buffers = 64MB\n\
     fsync = off\nfull_page_writes = off\nlogging_collector = off\n";

/// A running server.
pub(crate) struct Cluster {
    pub(crate) binaries: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) keeper: Option<Child>,
}

impl Cluster {
    /// A new server with data of its own; `None`, said loudly, when PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut cluster = Self::make()?;
        cluster.run();
        Some(cluster)
    }

    /// Its data; not running yet.
    pub(crate) fn make() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            let why = "no `postgres` and `initdb` in PATH or /usr/lib/postgresql/*/bin";
            missing_program("postgresql", why);
            return None;
        };
        let directory = tempfile::Builder::new()
            .prefix("dw-pg-")
            .tempdir()
            .unwrap()
            .keep();
        if is_root() {
            std::os::unix::fs::chown(&directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        let cluster = Self {
            binaries,
            directory,
            keeper: None,
        };
        let made = unprivileged(&cluster.binaries.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--username=doorward",
                "-D",
            ])
            .arg(cluster.directory.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.configure("postgresql.conf", SETTINGS);
        let socket = format!("unix_socket_directories = '{}'\n", cluster.directory.display());
        cluster.configure("postgresql.conf", &socket);
        Some(cluster)
    }

    /// Adds to one of the server's files.
    pub(crate) fn configure(&self, file: &str, text: &str) {
        let path = self.directory.join("data").join(file);
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Starts the server on its data, and waits until it takes connections.
    pub(crate) fn run(&mut self) {
        // One that was killed has left its file, which says that it is ready.
        let of_the_last_one = self.process_file();
        let keeper = unprivileged(Path::new("/bin/sh"))
            .args(["-c", KEEPER, "sh"])
            .args([&self.binaries, &self.directory])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        for _ in 0..600 {
            let file = self.process_file();
            if file != of_the_last_one && takes_connections(&file) {
                self.check_version();
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start: {}", self.log());
    }

    /// What the server writes about itself for those who wait for it. Empty without a server.
    fn process_file(&self) -> String {
        std::fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap_or_default()
    }

    /// A server runs on data of its own major version alone: what the data says, the server is.
    fn check_version(&self) {
        let Ok(wanted) = std::env::var(VERSION) else {
            return;
        };
        let found = std::fs::read_to_string(self.directory.join("data/PG_VERSION")).unwrap();
        let place = self.binaries.display();
        assert_eq!(
            found.trim(),
            wanted,
            "{VERSION}={wanted}, but another one runs, from {place}"
        );
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let mut socket = String::new();
        for byte in self.directory.to_str().unwrap().bytes() {
            write!(socket, "%{byte:02X}").unwrap();
        }
        format!("postgres://doorward@{socket}/{database}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }
}

fn find_binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    candidates.extend(versions.into_iter().rev());
    let directory = candidates
        .into_iter()
        .find(|directory| directory.join("postgres").exists() && directory.join("initdb").exists())?;
    // Where the programs are, not links to them: they look for their files beside themselves.
    let program = std::fs::canonicalize(directory.join("postgres")).unwrap();
    Some(program.parent().unwrap().to_owned())
}

/// The eighth line is the server's state. `pg_ctl` waits for it in the same way.
fn takes_connections(process_file: &str) -> bool {
    process_file
        .lines()
        .nth(7)
        .is_some_and(|state| state.trim() == "ready")
}

/// Says loudly that tests are skipped, once a package; or fails, as the setting wants it.
pub(crate) fn missing_program(package: &'static str, why: &str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    assert!(
        std::env::var(SETTING).as_deref() != Ok("required"),
        "{SETTING}=required, but {why}"
    );
    let mut said = SAID.lock().unwrap();
    if said.contains(&package) {
        return;
    }
    said.push(package);
    let skipped = format!(
        "\n*** SKIPPED: tests on PostgreSQL ({why}). Install `{package}`, or set {SETTING}=required to fail here.\n\n"
    );
    // Not `eprintln!`, which is captured as long as a test passes.
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0"
}

/// A command that does not run as root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={UNPRIVILEGED}"))
            .arg(format!("--regid={UNPRIVILEGED}"))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").env("LC_ALL", "C").env("HOME", "/");
    command
}
