//! The engine for several nodes: one PostgreSQL database (14 or newer), any number of processes.
//!
//! Every operation is one transaction. Rotation, redemption, programs' own tokens and what is used up by itself are one
//! statement and one round trip when nothing is in the way, and rotations, own tokens and look-ups that meet share it;
//! everything else that writes locks the rows that it rests on, in one order: person, session, resource, client, grant, code,
//! consent. A grant's row is the lock for all that hangs on it. What a flow consists of waits twice: for all that it looks at,
//! which goes with `BEGIN` (`work.rs`), and for all that it changes, which goes with `COMMIT` (`writes.rs`).

mod approvals;
pub(crate) mod arriving;
mod asserted;
mod assertion_audiences;
mod audit;
mod changes;
mod clients;
mod codes;
mod connection;
mod consents;
mod devices;
mod ending;
mod errors;
mod exchange;
mod grants;
mod handle;
mod hosts;
mod id_jag;
mod indexes;
mod issuances;
mod keys;
mod location;
mod many;
mod migrations;
mod operations;
mod own;
mod partitions;
mod reach;
mod refresh;
mod registration;
mod resources;
mod revocations;
mod served;
mod sessions;
mod spent;
mod statements;
mod sweep;
mod throttle;
mod tls;
mod together;
mod trusted_issuers;
mod turn;
mod used_grants;
mod users;
mod values;
mod work;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolConfig, QueueMode, RecyclingMethod, Runtime, Timeouts,
};

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use self::changes::Listener;
use self::connection::Pooled;
use self::errors::Fault;
pub use self::handle::PostgresStore;
use self::hosts::Hosts;
use self::location::Location;
use self::reach::Reach;
use self::tls::Tls;
use self::together::Meeting;
use self::used_grants::UsedGrants;
use crate::turns::Turns;
use crate::{Changes, IssueOwn, Look, Result, RotateRefresh, Sealed, SecretsInUse, StoreError};

/// How the engine uses its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections at most, and one that hears what other nodes change; whoever holds a [`Store::turn`](crate::Store::turn) needs a second one, and whoever makes an index one more. Default: 16.
    pub connections: usize,
    /// Operations that may wait for a connection; one more is [`StoreError::Busy`] at once. Default: 4096.
    pub queue: usize,
    /// How long an operation waits for a connection before it is [`StoreError::Busy`]. Default: 5 s.
    pub wait: Duration,
    /// How long to open a connection may take; of several servers in the URL each has its share of it. Default: 5 s.
    pub connect_timeout: Duration,
    /// The longest that one statement may run, waiting for a lock included. Default: 10 s.
    pub statement_timeout: Duration,
    /// How long an operation is tried again when others were in the way or the connection was lost, before it is
    /// [`StoreError::Unavailable`]. Default: 3 s.
    pub retry_for: Duration,
    /// How long whoever holds a [`Store::turn`](crate::Store::turn) may say nothing, before the database gives it to the next
    /// one. Default: 30 s.
    pub turn_lease: Duration,
    /// Whether a pooler in transaction mode (`PgBouncer`) stands between here and the server. Statements are then not
    /// prepared under names, and settings go with each transaction instead of with the session, so that one statement
    /// alone runs under the limits of its role. Default: `false`.
    pub transaction_pooler: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            queue: 4096,
            wait: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(3),
            turn_lease: Duration::from_secs(30),
            transaction_pooler: false,
        }
    }
}

/// What every handle of the engine shares. Nothing outside of the engine uses it.
#[doc(hidden)]
pub struct Engine {
    pool: Pool,
    tls: Arc<Tls>,
    reach: Arc<Reach>,
    options: PostgresOptions,
    pooled: Option<Arc<Pooled>>,
    turns: Turns,
    turn_places: Arc<Semaphore>,
    changes: Arc<Changes>,
    listener: Listener,
    grants_to_read: Meeting<grants::ReadGrant>,
    rotations: Meeting<Arc<RotateRefresh>>,
    own_tokens: Meeting<Arc<IssueOwn>>,
    standings_to_read: Meeting<issuances::ReadStanding>,
    used_grants: UsedGrants,
    rounds: sweep::Rounds,
}

impl Engine {
    /// See [`PostgresStore::open_checked`].
    async fn open<T, E: From<StoreError>>(
        url: &str,
        options: &PostgresOptions,
        check: impl FnOnce(&[Sealed]) -> std::result::Result<T, E>,
    ) -> std::result::Result<(Self, T), E> {
        let (pool, hosts) = connect(url, options).await?;
        let mut first = connection(&pool).await?;
        let found = migrations::look(&mut first).await.map_err(at_start)?;
        let checked = check(&found.map_or_else(Vec::new, |found| found.sealed))?;
        migrations::migrate(&mut first).await.map_err(at_start)?;
        partitions::recover(&mut first).await;
        if options.transaction_pooler {
            location::tell_of_limits(&first)
                .await
                .map_err(|error| at_start(error.into()))?;
        }
        drop(first);
        let changes = Arc::new(Changes::of_several());
        let engine = Self {
            pool,
            tls: hosts.tls(),
            reach: hosts.reach(),
            options: options.clone(),
            pooled: options.transaction_pooler.then(|| Arc::new(Pooled::new(options))),
            turns: Turns::default(),
            turn_places: turn::places(options.connections),
            listener: Listener::start(hosts, options, Arc::clone(&changes)),
            changes,
            grants_to_read: Meeting::default(),
            rotations: Meeting::default(),
            own_tokens: Meeting::default(),
            standings_to_read: Meeting::default(),
            used_grants: UsedGrants::default(),
            rounds: sweep::Rounds::default(),
        };
        Ok((engine, checked))
    }
}

/// A pool whose server has answered.
async fn connect(url: &str, options: &PostgresOptions) -> Result<(Pool, Hosts)> {
    let location = Location::parse(url, options)?;
    let hosts = Hosts::of(&location.config, location.tls, options.connect_timeout);
    let servers = location::servers(&location.config);
    let manager = Manager::from_connect(
        location.config,
        hosts.clone(),
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let timeouts = Timeouts {
        wait: Some(options.wait),
        create: Some(options.connect_timeout),
        recycle: Some(options.connect_timeout),
    };
    let pool = Pool::builder(manager)
        .config(PoolConfig {
            timeouts,
            // The connection that was used last: its process has at hand what statements need (docs/performance.md).
            queue_mode: QueueMode::Lifo,
            ..PoolConfig::new(options.connections.max(1))
        })
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Internal(error.to_string()))?;
    location::try_out(&pool, &servers).await?;
    Ok((pool, hosts))
}

/// What is in the database of this URL; `None` in a new one.
async fn look(url: &str, options: &PostgresOptions) -> Result<Option<Look>> {
    let (pool, _) = connect(url, options).await?;
    let mut first = connection(&pool).await?;
    migrations::glance(&mut first).await.map_err(at_start)
}

/// What would end with its keys and secrets; `None` in a new one.
async fn secrets_in_use(url: &str, options: &PostgresOptions, clients: u32) -> Result<Option<SecretsInUse>> {
    let (pool, _) = connect(url, options).await?;
    let mut first = connection(&pool).await?;
    migrations::secrets_in_use(&mut first, clients)
        .await
        .map_err(at_start)
}

/// Who else is connected. Names are for everybody to see, whatever the role may.
const OTHERS: &str = "SELECT DISTINCT application_name FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() \
     AND (usename = session_user OR application_name = current_setting('application_name')) ORDER BY 1";
const PAUSE: Duration = Duration::from_millis(100);

async fn others(url: &str, options: &PostgresOptions, patience: Duration) -> Result<Vec<String>> {
    let until = Instant::now() + patience;
    let (pool, _) = connect(url, options).await?;
    let watcher = connection(&pool).await?;
    loop {
        let rows = watcher.query(OTHERS, &[]).await;
        let rows = rows.map_err(|error| at_start(error.into()))?;
        if rows.is_empty() || Instant::now() >= until {
            return Ok(rows.iter().map(|row| row.get(0)).collect());
        }
        sleep(PAUSE).await;
    }
}

async fn connection(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(|error| at_start(error.into()))
}

/// At the start nothing is tried again.
fn at_start(fault: Fault) -> StoreError {
    match fault {
        Fault::Refused(error) => error,
        Fault::Contended(why) | Fault::Lost(why) => StoreError::Unavailable(why),
    }
}

#[cfg(test)]
#[path = "../../tests/engines/postgres/cluster.rs"]
mod cluster;
#[cfg(test)]
#[path = "plans_tests.rs"]
mod plans_tests;
#[cfg(test)]
#[path = "../../tests/engines/short_waits.rs"]
mod short_waits;
#[cfg(test)]
#[path = "statements_tests.rs"]
mod statements_tests;
#[cfg(test)]
#[path = "../../tests/engines/postgres/template.rs"]
mod template;
