//! Which principal an MCP session belongs to.
//!
//! A session id is a handle, not a credential: whoever learned one must not be able to act in it with a token
//! of their own. The guard learns the id from the response that creates it and lets only the same issuer,
//! client and subject use it. An id that the guard has not seen is nobody's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::claims::Claims;

/// SHA-256 of a session id or of a principal.
type Digest = [u8; 32];

/// Whose token it is: issuer, client and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Principal(Digest);

impl Principal {
    pub(crate) fn of(claims: &Claims) -> Self {
        Self::new(&claims.issuer, &claims.client_id, &claims.subject)
    }

    fn new(issuer: &str, client_id: &str, subject: &str) -> Self {
        let mut text = Vec::with_capacity(issuer.len() + client_id.len() + subject.len() + 16);
        for part in [issuer, client_id, subject] {
            // The length first: no two principals have one text.
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        Self(doorward_jose::sha256(&text))
    }
}

/// The sessions of one guard.
#[derive(Debug)]
pub(crate) struct Sessions {
    capacity: usize,
    idle: Duration,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Digest, Entry>,
    /// All sessions by their last use.
    by_use: BTreeMap<u64, Digest>,
    /// The same for each principal.
    by_principal: BTreeMap<(Principal, u64), Digest>,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    principal: Principal,
    used: u64,
    used_at: UnixSeconds,
}

impl Sessions {
    /// Remembers up to `capacity` sessions, each until it was unused for `idle`.
    pub(crate) fn new(capacity: usize, idle: Duration) -> Self {
        Self {
            capacity: capacity.max(1),
            idle,
            table: Mutex::default(),
        }
    }

    /// Whether the session is this principal's. If so, it counts as used.
    pub(crate) fn belongs_to(&self, session: &[u8], principal: Principal, now: UnixSeconds) -> bool {
        let session = doorward_jose::sha256(session);
        let mut table = self.table();
        match table.entries.get(&session).copied() {
            Some(entry) if now.since(entry.used_at) >= self.idle => {
                table.remove(&session);
                false
            }
            Some(entry) if entry.principal == principal => {
                table.put(session, principal, now);
                true
            }
            _ => false,
        }
    }

    /// Binds a session that a response has just created. A session of somebody else stays theirs.
    pub(crate) fn learn(&self, session: &[u8], principal: Principal, now: UnixSeconds) {
        let session = doorward_jose::sha256(session);
        let mut table = self.table();
        match table.entries.get(&session) {
            Some(entry) if entry.principal != principal && now.since(entry.used_at) < self.idle => {
                tracing::warn!("the MCP server named a session that belongs to another principal");
            }
            Some(_) => table.put(session, principal, now),
            None => {
                table.make_room(self.capacity, self.idle, principal, now);
                table.put(session, principal, now);
            }
        }
    }

    /// The session ended.
    pub(crate) fn forget(&self, session: &[u8]) {
        self.table().remove(&doorward_jose::sha256(session));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn put(&mut self, session: Digest, principal: Principal, now: UnixSeconds) {
        self.remove(&session);
        self.uses += 1;
        self.by_use.insert(self.uses, session);
        self.by_principal.insert((principal, self.uses), session);
        self.entries.insert(
            session,
            Entry {
                principal,
                used: self.uses,
                used_at: now,
            },
        );
    }

    fn remove(&mut self, session: &Digest) {
        if let Some(entry) = self.entries.remove(session) {
            self.by_use.remove(&entry.used);
            self.by_principal.remove(&(entry.principal, entry.used));
        }
    }

    /// Drops what is idle; when that is not enough, the oldest of the principal's own, so that nobody pushes
    /// out the sessions of others by opening many. Only who has none yet takes the place of the oldest of all.
    fn make_room(&mut self, capacity: usize, idle: Duration, principal: Principal, now: UnixSeconds) {
        while let Some(oldest) = self.by_use.first_key_value().map(|(_, session)| *session) {
            let is_idle = self
                .entries
                .get(&oldest)
                .is_none_or(|entry| now.since(entry.used_at) >= idle);
            if !is_idle {
                break;
            }
            self.remove(&oldest);
        }
        while self.entries.len() >= capacity {
            let own = self
                .by_principal
                .range((principal, 0)..=(principal, u64::MAX))
                .next()
                .map(|(_, s)| *s);
            let Some(victim) = own.or_else(|| self.by_use.first_key_value().map(|(_, s)| *s)) else {
                return;
            };
            self.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000);

    fn principal(subject: &str) -> Principal {
        Principal::new("https://as.example", "client", subject)
    }

    #[test]
    fn a_session_is_only_its_principals() {
        let sessions = Sessions::new(10, Duration::from_mins(1));
        sessions.learn(b"s", principal("alice"), NOW);
        assert!(sessions.belongs_to(b"s", principal("alice"), NOW));
        assert!(!sessions.belongs_to(b"s", principal("mallory"), NOW));
        let other_client = Principal::new("https://as.example", "other", "alice");
        assert!(!sessions.belongs_to(b"s", other_client, NOW));
        assert!(!sessions.belongs_to(b"unknown", principal("alice"), NOW));
        sessions.forget(b"s");
        assert!(!sessions.belongs_to(b"s", principal("alice"), NOW));
    }

    #[test]
    fn principals_cannot_be_confused_by_shifting_text_between_their_parts() {
        assert_ne!(Principal::new("i", "ab", "c"), Principal::new("i", "a", "bc"));
    }

    #[test]
    fn a_session_in_use_never_expires_and_an_idle_one_does() {
        let sessions = Sessions::new(10, Duration::from_mins(1));
        sessions.learn(b"s", principal("alice"), NOW);
        let mut now = NOW;
        for _ in 0..5 {
            now = now + Duration::from_secs(59);
            assert!(sessions.belongs_to(b"s", principal("alice"), now));
        }
        assert!(!sessions.belongs_to(b"s", principal("alice"), now + Duration::from_mins(1)));
    }

    #[test]
    fn a_session_cannot_be_taken_over_by_naming_it_again() {
        let sessions = Sessions::new(10, Duration::from_mins(1));
        sessions.learn(b"s", principal("alice"), NOW);
        sessions.learn(b"s", principal("mallory"), NOW);
        assert!(sessions.belongs_to(b"s", principal("alice"), NOW));
        assert!(!sessions.belongs_to(b"s", principal("mallory"), NOW));
    }

    #[test]
    fn an_idle_session_is_theirs_who_begin_it_again() {
        let sessions = Sessions::new(10, Duration::from_mins(1));
        sessions.learn(b"s", principal("alice"), NOW);
        let idle = NOW + Duration::from_mins(1);
        sessions.learn(b"s", principal("bob"), idle);
        assert!(sessions.belongs_to(b"s", principal("bob"), idle));
        assert!(!sessions.belongs_to(b"s", principal("alice"), idle));
    }

    #[test]
    fn opening_many_sessions_pushes_out_ones_own_only() {
        let sessions = Sessions::new(4, Duration::from_mins(1));
        sessions.learn(b"alice", principal("alice"), NOW);
        for n in 0..1_000_u32 {
            sessions.learn(&n.to_be_bytes(), principal("mallory"), NOW);
        }
        assert!(sessions.belongs_to(b"alice", principal("alice"), NOW));
        assert!(sessions.belongs_to(&999_u32.to_be_bytes(), principal("mallory"), NOW));
        let table = sessions.table();
        assert_eq!(
            (table.entries.len(), table.by_use.len(), table.by_principal.len()),
            (4, 4, 4)
        );
    }

    #[test]
    fn the_idle_make_room_before_anybody_else() {
        let sessions = Sessions::new(2, Duration::from_mins(1));
        sessions.learn(b"idle", principal("alice"), NOW);
        let later = NOW + Duration::from_secs(50);
        sessions.learn(b"live", principal("bob"), later);
        let now = NOW + Duration::from_mins(1);
        sessions.learn(b"new", principal("bob"), now);
        assert!(sessions.belongs_to(b"live", principal("bob"), now));
        assert!(sessions.belongs_to(b"new", principal("bob"), now));
    }
}
