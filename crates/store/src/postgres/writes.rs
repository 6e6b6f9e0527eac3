//! What an operation writes when everything was looked at: statements whose answers decide nothing more. They go in one
//! round trip, with the `COMMIT` behind them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio_postgres::types::ToSql;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, Ready, Sql, execute};
use crate::StoreError;

pub(super) type Value = Box<dyn ToSql + Sync + Send>;

/// The values of a [`Write`], in the order of its parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::postgres::writes::Value),*] };
}
pub(super) use values;

/// A statement with its values.
pub(super) struct Write {
    sql: Sql,
    values: Vec<Value>,
    again: Option<&'static str>,
}

impl Write {
    pub(super) const fn new(sql: Sql, values: Vec<Value>) -> Self {
        Self {
            sql,
            values,
            again: None,
        }
    }

    /// Of a row that nobody had written when it was looked for: when somebody else writes it first, the operation looks again.
    pub(super) const fn or_again(mut self, why: &'static str) -> Self {
        self.again = Some(why);
        self
    }

    /// Runs it alone.
    pub(super) async fn run(&self, db: &Connection) -> Fallible<u64> {
        let ready = db.ready(self.sql).await?;
        self.run_ready(db, &ready).await
    }

    async fn run_ready(&self, db: &Connection, ready: &Ready) -> Fallible<u64> {
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| &**value as _).collect();
        let done = execute(db, self.sql, ready, &values).await;
        match (done, self.again) {
            (Err(Fault::Refused(StoreError::Conflict)), Some(why)) => Err(Fault::Contended(why.to_owned())),
            (done, _) => done,
        }
    }
}

/// The writes of an operation, in their order.
#[derive(Default)]
pub(super) struct Writes(Vec<Write>);

impl From<Write> for Writes {
    fn from(write: Write) -> Self {
        Self(vec![write])
    }
}

impl FromIterator<Write> for Writes {
    fn from_iter<W: IntoIterator<Item = Write>>(writes: W) -> Self {
        Self(writes.into_iter().collect())
    }
}

impl Extend<Write> for Writes {
    fn extend<W: IntoIterator<Item = Write>>(&mut self, writes: W) {
        self.0.extend(writes);
    }
}

/// Why a transaction was not committed.
pub(super) enum Failed {
    /// No `COMMIT` was sent: the transaction is open, and nothing happened.
    Open(Fault),
    /// The server undid it.
    Undone(Fault),
    /// The connection was lost before the answer.
    Unknown(String),
}

/// Sends the writes with the `COMMIT`. One that fails has the server undo the transaction: there, `COMMIT` after an error is
/// `ROLLBACK`. Whoever goes away in the middle leaves all of it sent, or the transaction without its `COMMIT`.
pub(super) async fn commit(db: &Connection, Writes(writes): &Writes) -> Result<(), Failed> {
    let mut ready = Vec::with_capacity(writes.len());
    for write in writes {
        ready.push(db.ready(write.sql).await.map_err(Failed::Open)?);
    }
    let mut all: Vec<_> = writes
        .iter()
        .zip(&ready)
        .map(|(write, ready)| (Box::pin(write.run_ready(db, ready)), None))
        .collect();
    let mut commit = pin!(db.batch("COMMIT"));
    let (mut is_sent, mut committed) = (false, None);
    // The driver sends in the order of the first poll, and all that is prepared in it.
    poll_fn(|cx| {
        for (write, answer) in &mut all {
            if answer.is_some() {
                continue;
            }
            if let Poll::Ready(done) = write.as_mut().poll(cx) {
                // It did not even get on its way.
                let is_unsent = !is_sent && done.is_err();
                *answer = Some(done);
                if is_unsent {
                    return Poll::Ready(());
                }
            }
        }
        is_sent = true;
        if committed.is_none()
            && let Poll::Ready(done) = commit.as_mut().poll(cx)
        {
            committed = Some(done);
        }
        // Answers come in order, but they may come between two looks.
        if committed.is_some() && all.iter().all(|(_, answer)| answer.is_some()) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    let failed = all.into_iter().find_map(|(_, answer)| answer?.err());
    match (committed, failed) {
        (None, failed) => Err(Failed::Open(failed.unwrap_or_else(|| {
            StoreError::Internal("a write was neither sent nor refused".to_owned()).into()
        }))),
        (Some(Ok(())), None) => Ok(()),
        (Some(Ok(())), Some(fault)) => Err(Failed::Undone(fault)),
        // After an error of its own the transaction was undone, whatever became of the connection.
        (Some(Err(Fault::Lost(_))), Some(fault @ (Fault::Refused(_) | Fault::Contended(_)))) => {
            Err(Failed::Undone(fault))
        }
        (Some(Err(Fault::Lost(why))), _) => Err(Failed::Unknown(why)),
        (Some(Err(fault)), failed) => Err(Failed::Undone(failed.unwrap_or(fault))),
    }
}
