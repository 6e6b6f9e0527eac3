//! Connections that read, and never wait for the writer (WAL).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::queue::Queue;
use super::writer::panicked;
use crate::Result;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// Hands questions to the readers' threads.
pub(super) struct Readers {
    queue: Arc<Queue<Question>>,
}

impl Readers {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(capacity)),
        }
    }

    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        self.queue.push(Box::new(move |db| {
            if !caller.is_closed() {
                drop(caller.send(work(db)));
            }
        }))?;
        answer.await.unwrap_or_else(|_| Err(panicked()))
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// What one reader's thread does until the queue is closed and empty.
    pub(super) fn worker(&self, db: Connection, shared: Arc<Checkpoints>) -> impl FnOnce() + Send + use<> {
        let queue = Arc::clone(&self.queue);
        move || {
            while let Some(question) = queue.take(1).pop() {
                if catch_unwind(AssertUnwindSafe(|| question(&db))).is_err() {
                    tracing::error!("a read panicked");
                }
            }
            shared.before_closing(&db);
        }
    }
}
