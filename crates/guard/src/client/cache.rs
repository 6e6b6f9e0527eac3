//! Tokens of the client's own, kept while they last, and one request for many callers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::error::ClientError;
use super::lru::Lru;
use super::token::TokenResponse;

/// What a token was asked for; order and repetition do not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
}

pub(crate) type Outcome = Result<TokenResponse, ClientError>;
pub(crate) type Flight = Shared<BoxFuture<'static, Outcome>>;

struct Kept {
    token: TokenResponse,
    /// When the lifetime that the server told began to count: before the request was sent.
    since: UnixSeconds,
    until: UnixSeconds,
}

/// How long tokens are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    /// A token is not handed out any more this long before it expires.
    pub(crate) buffer: Duration,
    /// For tokens of which the server does not say how long they last.
    pub(crate) default: Duration,
}

pub(crate) struct TokenCache {
    lifetimes: Lifetimes,
    tables: Mutex<Tables>,
}

struct Tables {
    tokens: Lru<Key, Kept>,
    /// Requests under way. They live as long as somebody waits for them.
    flights: HashMap<Key, (u64, WeakShared<BoxFuture<'static, Outcome>>)>,
    started: u64,
}

/// Where a caller gets its token from.
pub(crate) enum Found {
    Token(Box<TokenResponse>),
    Flight(Flight),
}

impl TokenCache {
    pub(crate) fn new(capacity: usize, lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            tables: Mutex::new(Tables {
                tokens: Lru::new(capacity),
                flights: HashMap::new(),
                started: 0,
            }),
        }
    }

    /// The token that is kept, the request that is under way, or the one that `start` makes. `start` gets what takes the
    /// request off the table when it is dropped.
    pub(crate) fn find(
        self: &Arc<Self>,
        key: &Key,
        now: UnixSeconds,
        start: impl FnOnce(Landing) -> Flight,
    ) -> Found {
        let mut tables = self.tables();
        if let Some(token) = tables.tokens.get(key).and_then(|kept| self.remaining(kept, now)) {
            return Found::Token(Box::new(token));
        }
        if let Some(flight) = tables.flights.get(key).and_then(|(_, flight)| flight.upgrade()) {
            return Found::Flight(flight);
        }
        tables.started += 1;
        let number = tables.started;
        let flight = start(Landing {
            cache: self.clone(),
            key: key.clone(),
            number,
        });
        if let Some(weak) = flight.downgrade() {
            tables.flights.insert(key.clone(), (number, weak));
        }
        Found::Flight(flight)
    }

    /// Keeps a token that was asked for at `since`.
    pub(crate) fn keep(&self, key: &Key, token: &TokenResponse, since: UnixSeconds, now: UnixSeconds) {
        let until = since + token.expires_in.unwrap_or(self.lifetimes.default);
        let kept = Kept {
            token: token.clone(),
            since,
            until,
        };
        if self.remaining(&kept, now).is_some() {
            self.tables().tokens.insert(key.clone(), kept);
        }
    }

    /// Forgets a token, wherever it is kept.
    pub(crate) fn forget(&self, token: &str) {
        self.tables().tokens.retain(|kept| !kept.token.is(token));
    }

    /// The token with the time that is left, unless that is too little.
    fn remaining(&self, kept: &Kept, now: UnixSeconds) -> Option<TokenResponse> {
        // A clock that was set back must not make a token last longer.
        if now < kept.since || now + self.lifetimes.buffer >= kept.until {
            return None;
        }
        let passed = now.since(kept.since);
        let mut token = kept.token.clone();
        token.expires_in = token.expires_in.map(|told| told.saturating_sub(passed));
        Some(token)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a request off the table when it ends, also when everybody who waited for it has gone away.
pub(crate) struct Landing {
    cache: Arc<TokenCache>,
    key: Key,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut tables = self.cache.tables();
        if tables
            .flights
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            tables.flights.remove(&self.key);
        }
    }
}
