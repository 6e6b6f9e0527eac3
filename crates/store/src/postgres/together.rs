//! Operations of a kind that meet. Each alone would cost the database a statement, a transaction and a turn of a
//! connection; while some are on their way the others collect, and then go in one statement. Nobody waits for company:
//! what comes when nothing is on its way goes at once. And nobody waits for long: a statement that takes its time (a
//! disk that hangs, a connection that died without a word) does not keep the others from going on another connection.
//!
//! In the statements `OFFSET 0` keeps the planner from merging a subquery with what is around it: each row is one look-up
//! by an index, however many are asked for and however large the planner takes the tables to be.

use std::collections::VecDeque;
use std::future::Future;
use std::iter;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Engine;
use super::errors::{Fallible, Fault};
use super::statements::{Connection, Params, Sql, list};
use super::values::Columns;
use super::work::Db;
use crate::{Result, StoreError};

/// How long an operation waits before it looks for another way.
const PATIENCE: Duration = Duration::from_millis(50);

/// The longest before it looks again.
const LONGEST_PATIENCE: Duration = Duration::from_millis(500);

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

/// What a statement finds for so many, each at the place of whoever asked for it. That is the last column of a row, behind
/// what `read` reads, from 1.
pub(super) async fn find_each<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    asked: usize,
    read: impl Fn(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Vec<Option<T>>> {
    let placed = |columns: &mut Columns<'_>| Ok((read(columns)?, columns.number::<usize>()?));
    let mut answers: Vec<Option<T>> = iter::repeat_with(|| None).take(asked).collect();
    for (value, place) in list(db, sql, params, placed).await? {
        if let Some(answer) = place.checked_sub(1).and_then(|place| answers.get_mut(place)) {
            *answer = Some(value);
        }
    }
    Ok(answers)
}

/// Where operations of a kind meet.
pub(super) struct Meeting<O: Together>(Mutex<State<O>>);

struct State<O: Together> {
    waiting: VecDeque<Waiting<O>>,
    /// Statements.
    on_their_way: usize,
    /// The next operation's.
    number: u64,
}

struct Waiting<O: Together> {
    number: u64,
    operation: O,
    tell: Tell<O>,
}

type Tell<O> = oneshot::Sender<Fallible<<O as Together>::Answer>>;

impl Engine {
    /// Does an operation with those that it meets. What went wrong may be another one's fault: see
    /// [`Fault::may_have_happened`].
    pub(super) async fn together<O: Together>(self: &Arc<Self>, operation: O) -> Fallible<O::Answer> {
        let meeting = O::meeting(self);
        let (tell, mut told) = oneshot::channel();
        let number = meeting.join(operation, tell, self.options.queue)?;
        self.find_way::<O>(1);
        let until = Instant::now() + self.options.wait;
        let mut patience = PATIENCE;
        loop {
            if let Ok(answer) = timeout(patience, &mut told).await {
                let given_up = || Fault::Lost("the operation was given up on its way".to_owned());
                return answer.unwrap_or_else(|_| Err(given_up()));
            }
            // One that is on its way already is limited by its statement.
            if Instant::now() > until && meeting.leave(number) {
                return Err(Fault::Refused(StoreError::Busy));
            }
            // Those on their way may be on connections that died without a word. Half of them are for others.
            self.find_way::<O>((self.options.connections / 2).max(1));
            patience = (patience * 2).min(LONGEST_PATIENCE);
        }
    }

    /// The same for what may run twice without a difference, or alone when that fails.
    pub(super) async fn read_together<O, F>(
        self: &Arc<Self>,
        operation: O,
        alone: impl Fn(Db) -> F,
    ) -> Result<O::Answer>
    where
        O: Together,
        F: Future<Output = Fallible<O::Answer>>,
    {
        match self.together(operation).await {
            Ok(answer) => Ok(answer),
            Err(fault) => {
                fault.may_have_happened()?;
                self.repeatable(alone).await
            }
        }
    }

    /// Goes with those that wait, if there are any, unless so many are on their way.
    fn find_way<O: Together>(self: &Arc<Self>, most: usize) {
        if O::meeting(self).take_place(most) {
            let way = Way::<O> {
                engine: Arc::clone(self),
                is_over: false,
                kind: PhantomData,
            };
            tokio::spawn(way.go());
        }
    }
}

impl<O: Together> Default for Meeting<O> {
    fn default() -> Self {
        Self(Mutex::new(State {
            waiting: VecDeque::new(),
            on_their_way: 0,
            number: 0,
        }))
    }
}

impl<O: Together> Meeting<O> {
    fn state(&self) -> MutexGuard<'_, State<O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the operation among those that wait.
    fn join(&self, operation: O, tell: Tell<O>, queue: usize) -> Fallible<u64> {
        let mut state = self.state();
        if state.waiting.len() >= queue {
            state.forget_those_who_gave_up();
        }
        if state.waiting.len() >= queue {
            return Err(Fault::Refused(StoreError::Busy));
        }
        let number = state.number;
        state.number += 1;
        state.waiting.push_back(Waiting {
            number,
            operation,
            tell,
        });
        Ok(number)
    }

    /// Takes an operation back that still waits. Returns whether it did.
    fn leave(&self, number: u64) -> bool {
        let mut state = self.state();
        let place = state.waiting.iter().position(|waiting| waiting.number == number);
        place.is_some_and(|place| state.waiting.remove(place).is_some())
    }

    /// Takes a place among those on their way, if anybody waits and fewer than so many are. Whoever is told `true` goes.
    fn take_place(&self, most: usize) -> bool {
        let mut state = self.state();
        let taken = !state.waiting.is_empty() && state.on_their_way < most;
        if taken {
            state.on_their_way += 1;
        }
        taken
    }
}

impl<O: Together> State<O> {
    /// They want nothing done.
    fn forget_those_who_gave_up(&mut self) {
        self.waiting.retain(|waiting| !waiting.tell.is_closed());
    }
}

/// One of those that are on their way.
struct Way<O: Together> {
    engine: Arc<Engine>,
    is_over: bool,
    kind: PhantomData<fn() -> O>,
}

impl<O: Together> Way<O> {
    /// Until nobody waits.
    async fn go(mut self) {
        while let Some(next) = self.next() {
            let (operations, told): (Vec<O>, Vec<Tell<O>>) = next
                .into_iter()
                .map(|waiting| (waiting.operation, waiting.tell))
                .unzip();
            let operations = &operations;
            let done = self
                .engine
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

    /// Those that go next. When nobody waits any more, the way is over.
    fn next(&mut self) -> Option<Vec<Waiting<O>>> {
        let mut state = O::meeting(&self.engine).state();
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

impl<O: Together> Drop for Way<O> {
    /// In a panic, or when the runtime ends. Those that wait look for another way.
    fn drop(&mut self) {
        if !self.is_over {
            O::meeting(&self.engine).state().on_their_way -= 1;
        }
    }
}

#[cfg(test)]
#[path = "together_tests.rs"]
mod tests;
