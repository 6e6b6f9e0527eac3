//! Tells the service manager how the server is (`sd_notify(3)`): a datagram to the socket that it names, or nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A start may take long, and says so this often: with a new version the tables may have to be changed first, or are waited for.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How much longer the service manager then waits.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// After so many times it is not asked for any more: what takes longer stands still.
const SAY_AT_MOST: u32 = 360;
/// How long it takes at most to answer what has begun and to begin to close the database, beside `server.shutdown_delay`.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// The service manager, if it wants to be told.
#[derive(Clone, Default)]
pub struct ServiceManager {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub fn from_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let of_another = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && !of_another);
        Self {
            address,
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// The server starts, and does so as long as what this returns runs: an hour at most.
    pub fn starting(&self) -> impl Future<Output = ()> + Send + 'static {
        let manager = self.clone();
        let longer = STARTS_WITHIN.as_micros();
        let text = format!("EXTEND_TIMEOUT_USEC={longer}\nSTATUS=starting");
        manager.tell(&text);
        async move {
            for _ in 0..SAY_AT_MOST {
                tokio::time::sleep(SAY_EVERY).await;
                manager.tell(&text);
            }
        }
    }

    /// The server answers, and this is said of it.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        self.tell("RELOADING=1\nSTATUS=reading the configuration");
    }

    /// The server goes on for so long, and then answers what has begun, and nothing new; the database may take so long for its last
    /// statement.
    pub fn stopping(&self, delay: Duration, last_statement: Duration) {
        let longer = delay + STOPS_WITHIN + last_statement;
        let longer = longer.as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=answering what has begun\nEXTEND_TIMEOUT_USEC={longer}"
        ));
    }

    /// Says that the program still runs, twice in the time after which it would be taken for stuck; never returns when it
    /// need not be said. Not whether the database answers: to start again would not help.
    pub async fn watch(&self) {
        let Some(period) = self.watchdog else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(period / 2);
        loop {
            ticks.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, text: &str) {
        let Some(address) = &self.address else { return };
        let told = UnixDatagram::unbound().and_then(|socket| {
            // A service manager that is stuck does not hold up the server.
            socket.set_nonblocking(true)?;
            socket.send_to_addr(text.as_bytes(), address)
        });
        if let Err(error) = told {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }
}

/// A path, or with `@` in front a name in the abstract namespace, which Linux alone has.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name).ok()
        }
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}
