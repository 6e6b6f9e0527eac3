//! A connection as an operation sees it, straight to the server or through a pooler.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Waker};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;

use super::PostgresOptions;
use super::errors::{Fallible, Fault};
use super::reach::Reach;
use super::statements::Ready;
use crate::sql::Sql;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// How long after the limit of a statement, which is the server's own, nothing is expected any more.
const SLACK: Duration = Duration::from_secs(2);

const SILENT: &str = "the database does not answer";

fn silent() -> Fault {
    Fault::Lost(SILENT.to_owned())
}

/// What a pooler in transaction mode changes: every transaction, and every statement outside of one, may run in another
/// session of the server. So nothing is prepared under a name, and no setting is made for a session.
#[derive(Debug)]
pub(super) struct Pooled {
    /// How a transaction begins, with the settings that a session would have.
    begin: String,
    /// The types of the parameters of each statement, as the server told them once. As many as there are statements.
    types: RwLock<HashMap<&'static str, Arc<[Type]>>>,
}

impl Pooled {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let statement = options.statement_timeout.as_millis();
        Self {
            begin: format!(
                "{BEGIN}; SET LOCAL statement_timeout = {statement}; SET LOCAL idle_in_transaction_session_timeout = {}",
                statement * 2
            ),
            types: RwLock::default(),
        }
    }

    fn known(&self, sql: Sql) -> Option<Arc<[Type]>> {
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        types.get(sql.text()).map(Arc::clone)
    }

    fn learn(&self, sql: Sql, types: Arc<[Type]>) {
        let mut known = self.types.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(sql.text(), types);
    }
}

/// A connection of the pool, for one operation.
pub(super) struct Connection {
    object: Object,
    pooled: Option<Arc<Pooled>>,
    in_transaction: AtomicBool,
    /// Whose statement is made ready.
    preparing: tokio::sync::Mutex<()>,
    /// How long the server may say nothing.
    patience: Duration,
    /// When it answered last.
    heard: Mutex<Instant>,
    /// It said nothing for that long: nothing more is asked.
    is_silent: AtomicBool,
    reach: Arc<Reach>,
}

impl Connection {
    pub(super) fn new(
        object: Object,
        pooled: Option<Arc<Pooled>>,
        options: &PostgresOptions,
        reach: Arc<Reach>,
    ) -> Self {
        Self {
            object,
            pooled,
            in_transaction: AtomicBool::new(false),
            preparing: tokio::sync::Mutex::default(),
            patience: options.statement_timeout + SLACK,
            heard: Mutex::new(Instant::now()),
            is_silent: AtomicBool::new(false),
            reach,
        }
    }

    /// What the server answers. One that says nothing any more must not hold a caller: the statement timeout is the server's
    /// own, this one is for a server or a network that died without a word. Statements that wait for each other, one after
    /// the other on this connection, have each a time of their own.
    pub(super) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Fallible<T> {
        let mut asked = pin!(asked);
        let mut quiet_since = Instant::now();
        loop {
            let answer = timeout_at(quiet_since + self.patience, asked.as_mut()).await;
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(answer) = answer {
                let now = Instant::now();
                *heard = now;
                drop(heard);
                let answer = answer?;
                self.reach.answered(now);
                return Ok(answer);
            }
            if *heard <= quiet_since {
                break;
            }
            quiet_since = *heard;
        }
        // Whoever is behind this connection is behind the others too: each of them would cost somebody as long.
        if let Some(pool) = Object::pool(&self.object) {
            pool.retain(|_, _| false);
        }
        self.is_silent.store(true, Ordering::Relaxed);
        self.reach.lost(SILENT);
        Err(silent())
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Fallible<()> {
        self.answer(self.object.batch_execute(sql)).await
    }

    /// What the statement needs to be sent. Those that are asked for together are sent in the order in which they were first
    /// polled, also where one of them has to be prepared: what looks behind a lock must not pass it.
    pub(super) async fn ready(&self, sql: Sql) -> Fallible<Ready> {
        let _in_turn = self.preparing.lock().await;
        if self.is_silent.load(Ordering::Relaxed) {
            return Err(silent());
        }
        if let Some(types) = self.types(sql).await? {
            return Ok(Ready::Typed(types));
        }
        self.answer(self.object.prepare_cached(sql.text()))
            .await
            .map(Ready::Prepared)
    }

    /// Begins the transaction that this connection was taken for.
    pub(super) async fn begin(&self) -> Fallible<()> {
        self.in_transaction.store(true, Ordering::Relaxed);
        let begin = self.pooled.as_ref().map_or(BEGIN, |pooled| pooled.begin.as_str());
        self.batch(begin).await
    }

    /// The types of the parameters, where a statement has to be sent with them: behind a pooler. `None`: it is prepared.
    async fn types(&self, sql: Sql) -> Fallible<Option<Arc<[Type]>>> {
        let Some(pooled) = &self.pooled else {
            return Ok(None);
        };
        if let Some(types) = pooled.known(sql) {
            return Ok(Some(types));
        }
        let types = self.ask_types(sql).await?;
        pooled.learn(sql, Arc::clone(&types));
        Ok(Some(types))
    }

    /// In a transaction, so that the name of the statement is given and taken back in one session.
    async fn ask_types(&self, sql: Sql) -> Fallible<Arc<[Type]>> {
        if self.in_transaction.load(Ordering::Relaxed) {
            return self.describe(sql).await;
        }
        let mut asking = Asking(Some(self));
        self.batch(BEGIN).await?;
        let types = self.describe(sql).await;
        self.batch("ROLLBACK").await?;
        asking.0 = None;
        types
    }

    async fn describe(&self, sql: Sql) -> Fallible<Arc<[Type]>> {
        // Its end takes the name back.
        let statement = self.answer(self.object.prepare(sql.text())).await?;
        Ok(statement.params().into())
    }

    /// Undoes the transaction without waiting for the answer.
    pub(super) fn roll_back(&self) {
        // The first poll queues it before whatever the next user of this connection sends.
        let rollback = pin!(self.object.batch_execute("ROLLBACK"));
        let _ = rollback.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Closes it instead of giving it back to the pool.
    pub(super) fn discard(self) {
        drop(Object::take(self.object));
    }
}

/// The transaction of a question, which ends also when whoever asks goes away in the middle.
struct Asking<'a>(Option<&'a Connection>);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.roll_back();
        }
    }
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.object
    }
}
