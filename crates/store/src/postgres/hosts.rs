//! Connections to one of the servers that the URL names: the first that answers, and is what the URL asks for. One that does
//! not answer at all (its machine is gone, or it stands still) must not use up the time of the others.

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::describe;
use super::reach::Reach;
use super::tls::Tls;

/// A connection's other half: it carries what the client asks and is told, as long as it is polled.
pub(super) type Wire =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// As the pool wants it.
type Connecting<'h> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'h>>;

/// The servers, and how they are reached.
#[derive(Clone)]
pub(super) struct Hosts {
    servers: Vec<Config>,
    tls: Arc<Tls>,
    /// How long one of them may take before the next one is asked.
    time_for_each: Duration,
    /// Which one to ask first.
    asked_first: Arc<AtomicUsize>,
    /// Any one, by chance.
    in_any_order: bool,
    /// Only one of them can be what is asked for, so whichever was it last is asked first.
    only_primary: bool,
    reach: Arc<Reach>,
}

impl Hosts {
    /// `time`: how long all of them together may take.
    pub(super) fn of(config: &Config, tls: Arc<Tls>, time: Duration) -> Self {
        let number = config.get_hosts().len().max(1);
        let mut config = config.clone();
        config.connect_timeout(time);
        let servers = match number {
            1 => vec![config.clone()],
            several => (0..several).map(|place| alone(&config, place)).collect(),
        };
        Self {
            servers,
            tls,
            time_for_each: time / u32::try_from(number).unwrap_or(u32::MAX),
            asked_first: Arc::default(),
            in_any_order: config.get_load_balance_hosts() == LoadBalanceHosts::Random,
            only_primary: config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite,
            reach: Arc::default(),
        }
    }

    /// What the log is told of the connections of the pool.
    pub(super) fn reach(&self) -> Arc<Reach> {
        Arc::clone(&self.reach)
    }

    /// What connections are made with, the next ones of the pool and of the listener alike.
    pub(super) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// A connection to the first that answers. One that takes longer than its time is not given up: the next one is asked
    /// beside it. When none does, why one of them did not.
    pub(super) async fn connect(&self) -> Result<(Client, Wire), Error> {
        let number = self.servers.len();
        let first = if self.in_any_order {
            by_chance(number)
        } else {
            self.asked_first.load(Ordering::Relaxed)
        };
        let mut places: VecDeque<usize> = (0..number).map(|further| (first + further) % number).collect();
        let mut attempts = JoinSet::new();
        loop {
            if let Some(place) = places.pop_front() {
                let (server, tls) = (self.servers[place].clone(), self.tls.connector());
                attempts.spawn(async move { (place, server.connect(tls).await) });
            }
            let patience = if places.is_empty() {
                Duration::MAX
            } else {
                self.time_for_each
            };
            match timeout(patience, attempts.join_next()).await {
                Ok(Some(Ok((place, Ok(connected))))) => return Ok(self.found(place, connected)),
                Ok(Some(Ok((place, Err(error))))) => {
                    if places.is_empty() && attempts.is_empty() {
                        return Err(error);
                    }
                    tracing::debug!(error = describe(&error), place, "not this PostgreSQL server");
                }
                Ok(Some(Err(panicked))) => std::panic::resume_unwind(panicked.into_panic()),
                // Nobody is being asked.
                Ok(None) => places.push_back(first),
                Err(_) => tracing::debug!("this PostgreSQL server takes its time: the next one is asked too"),
            }
        }
    }

    fn found(&self, place: usize, connected: (Client, Wire)) -> (Client, Wire) {
        if self.only_primary {
            self.asked_first.store(place, Ordering::Relaxed);
        }
        connected
    }
}

/// A number below this one.
fn by_chance(number: usize) -> usize {
    let chance = RandomState::new().build_hasher().finish();
    usize::try_from(chance % number as u64).unwrap_or_default()
}

impl Connect for Hosts {
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async {
            let (client, wire) = Self::connect(self).await?;
            let reach = self.reach();
            let carried = tokio::spawn(async move {
                if let Err(error) = wire.await {
                    reach.lost(&describe(&error));
                }
            });
            Ok((client, carried))
        })
    }
}

/// The same with one of the servers. The driver has no way to take the others out.
fn alone(all: &Config, place: usize) -> Config {
    let mut one = Config::new();
    match &all.get_hosts()[place] {
        Host::Tcp(name) => one.host(name),
        #[cfg(unix)]
        Host::Unix(folder) => one.host_path(folder),
    };
    if let Some(address) = all.get_hostaddrs().get(place) {
        one.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(place).or(ports.first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(dbname) = all.get_dbname() {
        one.dbname(dbname);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(time) = all.get_connect_timeout() {
        one.connect_timeout(*time);
    }
    if let Some(time) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*time);
    }
    if let Some(time) = all.get_keepalives_interval() {
        one.keepalives_interval(time);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .target_session_attrs(all.get_target_session_attrs())
        .channel_binding(all.get_channel_binding())
        .load_balance_hosts(all.get_load_balance_hosts());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_alone_has_all_that_the_url_says() {
        let url = "postgres://ada:geheim@one:1,two:2/db?application_name=a&options=-cx%3D1&sslmode=require\
                   &target_session_attrs=read-write&keepalives_idle=7&keepalives_interval=8&keepalives_retries=9\
                   &tcp_user_timeout=10&connect_timeout=11&channel_binding=require&sslnegotiation=direct&load_balance_hosts=random";
        let all: Config = url.parse().unwrap();
        for (place, host) in ["one:1", "two:2"].iter().enumerate() {
            let single: Config = url.replace("one:1,two:2", host).parse().unwrap();
            assert_eq!(alone(&all, place), single, "{host}");
        }
        let ports: Config = "postgres://ada@one,two,three:7/db".parse().unwrap();
        let socket: Config = "postgres://ada@%2Frun%2Fa,two/db?hostaddr=127.0.0.1,127.0.0.2"
            .parse()
            .unwrap();
        assert_eq!(alone(&ports, 2).get_ports(), [7]);
        assert_eq!(alone(&socket, 0).get_hosts(), [Host::Unix("/run/a".into())]);
        assert_eq!(
            alone(&socket, 1).get_hostaddrs(),
            ["127.0.0.2".parse::<std::net::IpAddr>().unwrap()]
        );
    }
}
