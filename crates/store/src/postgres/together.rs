//! Operations of a kind that meet. Each alone would cost the database a statement, a transaction and a turn of a
//! connection; while some are on their way the others collect, and then go in one statement. Nobody waits for company:
//! what comes when nothing is on its way goes at once. And nobody waits for long: a statement that takes its time (a
//! disk that hangs, a connection that died without a word) does not keep the others from going on another connection.

use std::collections::VecDeque;
use std::future::Future;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Engine;
use super::errors::{Fallible, Fault};
use super::statements::Connection;
use crate::{Result, StoreError};

/// How long an operation waits before it goes on another way.
const PATIENCE: Duration = Duration::from_millis(50);

/// Statements of a kind that are on their way at once, at most.
const WAYS: usize = 4;

/// Operations in a statement at most.
const MOST: usize = 128;

/// An operation that can go with others of its kind.
pub(super) trait Together: Send + Sync + Sized + 'static {
    type Answer: Send + 'static;

    /// Those that wait now.
    fn meeting(engine: &Engine) -> &Meeting<Self>;

    /// All of them in one statement, with an answer for each in their order. It fails for all of them or for none.
    fn all(db: &Connection, asked: &[Self]) -> impl Future<Output = Fallible<Vec<Self::Answer>>> + Send;
}

/// A value of each, as a statement takes them.
pub(super) fn column<'a, O, T>(asked: &'a [Arc<O>], value: impl Fn(&'a O) -> T) -> Vec<T> {
    asked.iter().map(|operation| value(operation)).collect()
}

/// What was found, each at the place (from 1) of whoever asked for it, among so many.
pub(super) fn in_places<T>(asked: usize, found: Vec<(T, usize)>) -> Vec<Option<T>> {
    let mut answers: Vec<Option<T>> = iter::repeat_with(|| None).take(asked).collect();
    for (value, place) in found {
        if let Some(answer) = place.checked_sub(1).and_then(|place| answers.get_mut(place)) {
            *answer = Some(value);
        }
    }
    answers
}

impl Fault {
    /// For whoever does alone what failed together: whether it may have happened all the same. What was refused was
    /// perhaps another one, and nothing was done. Not tried alone when there is no room.
    pub(super) fn before_going_alone(self) -> Result<bool> {
        match self {
            Self::Refused(StoreError::Busy) => Err(StoreError::Busy),
            Self::Refused(_) => Ok(false),
            Self::Contended(_) | Self::Lost(_) => Ok(true),
        }
    }
}

/// Where operations of a kind meet.
pub(super) struct Meeting<O: Together>(Mutex<State<O>>);

struct State<O: Together> {
    waiting: VecDeque<Waiting<O>>,
    on_their_way: usize,
}

impl<O: Together> State<O> {
    /// They want nothing done.
    fn forget_those_who_gave_up(&mut self) {
        self.waiting.retain(|waiting| !waiting.tell.is_closed());
    }
}

struct Waiting<O: Together> {
    operation: O,
    tell: Tell<O>,
}

type Tell<O> = oneshot::Sender<Fallible<<O as Together>::Answer>>;

impl Engine {
    /// Does an operation with those that it meets. What went wrong may be another one's fault: see [`Fault::before_going_alone`].
    pub(super) async fn together<O: Together>(self: &Arc<Self>, operation: O) -> Fallible<O::Answer> {
        let (tell, mut told) = oneshot::channel();
        let waiting = Waiting { operation, tell };
        if O::meeting(self).join(waiting, self.options.queue)? {
            tokio::spawn(Arc::clone(self).go::<O>());
        }
        let answer = if let Ok(answer) = timeout(PATIENCE, &mut told).await {
            answer
        } else {
            if O::meeting(self).takes_another_way() {
                tokio::spawn(Arc::clone(self).go::<O>());
            }
            told.await
        };
        answer.unwrap_or_else(|_| Err(Fault::Lost("the operation was given up on its way".to_owned())))
    }

    /// Until nobody waits.
    async fn go<O: Together>(self: Arc<Self>) {
        let mut way = Way {
            meeting: O::meeting(&self),
            is_over: false,
        };
        while let Some(next) = way.next() {
            let (operations, told): (Vec<O>, Vec<Tell<O>>) = next
                .into_iter()
                .map(|waiting| (waiting.operation, waiting.tell))
                .unzip();
            let operations = &operations;
            let done = self
                .attempt(|db| async move { O::all(&db, operations).await })
                .await;
            // Whoever has gone away meanwhile is told nothing.
            match done {
                Ok(answers) => {
                    for (tell, answer) in told.into_iter().zip(answers) {
                        drop(tell.send(Ok(answer)));
                    }
                }
                Err(fault) => {
                    for tell in told {
                        drop(tell.send(Err(fault.clone())));
                    }
                }
            }
        }
    }
}

impl<O: Together> Default for Meeting<O> {
    fn default() -> Self {
        Self(Mutex::new(State {
            waiting: VecDeque::new(),
            on_their_way: 0,
        }))
    }
}

impl<O: Together> Meeting<O> {
    fn state(&self) -> MutexGuard<'_, State<O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to go now.
    fn join(&self, waiting: Waiting<O>, queue: usize) -> Fallible<bool> {
        let mut state = self.state();
        if state.waiting.len() >= queue {
            state.forget_those_who_gave_up();
        }
        if state.waiting.len() >= queue {
            return Err(Fault::Refused(StoreError::Busy));
        }
        state.waiting.push_back(waiting);
        if state.on_their_way > 0 {
            return Ok(false);
        }
        state.on_their_way = 1;
        Ok(true)
    }

    /// Whether those that wait have to go another way.
    fn takes_another_way(&self) -> bool {
        let mut state = self.state();
        let does = !state.waiting.is_empty() && state.on_their_way < WAYS;
        if does {
            state.on_their_way += 1;
        }
        does
    }
}

/// One of those that may be on their way, until it is over.
struct Way<'a, O: Together> {
    meeting: &'a Meeting<O>,
    is_over: bool,
}

impl<O: Together> Way<'_, O> {
    /// Those that go next. When nobody waits any more, the way is over.
    fn next(&mut self) -> Option<Vec<Waiting<O>>> {
        let mut state = self.meeting.state();
        state.forget_those_who_gave_up();
        if state.waiting.is_empty() {
            state.on_their_way -= 1;
            self.is_over = true;
            return None;
        }
        let most = state.waiting.len().min(MOST);
        Some(state.waiting.drain(..most).collect())
    }
}

impl<O: Together> Drop for Way<'_, O> {
    /// In a panic, or when the runtime ends.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.meeting.state();
        state.on_their_way -= 1;
        if state.on_their_way == 0 {
            // Nobody would come for them.
            state.waiting.clear();
        }
    }
}

#[cfg(test)]
#[path = "together_tests.rs"]
mod tests;
