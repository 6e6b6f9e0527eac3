//! Tokens of the client's own, kept while they last.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use super::lru::Lru;
use super::token::TokenResponse;

/// What a token was asked for; order and repetition do not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
}

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
    tokens: Mutex<Lru<Key, Kept>>,
}

impl TokenCache {
    pub(crate) fn new(capacity: usize, lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            tokens: Mutex::new(Lru::new(capacity)),
        }
    }

    /// The token that is kept.
    pub(crate) fn find(&self, key: &Key, now: UnixSeconds) -> Option<TokenResponse> {
        let mut tokens = self.tokens();
        tokens.get(key).and_then(|kept| self.remaining(kept, now))
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
            self.tokens().insert(key.clone(), kept);
        }
    }

    /// Forgets a token, wherever it is kept.
    pub(crate) fn forget(&self, token: &str) {
        self.tokens().retain(|kept| !kept.token.is(token));
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

    fn tokens(&self) -> MutexGuard<'_, Lru<Key, Kept>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
