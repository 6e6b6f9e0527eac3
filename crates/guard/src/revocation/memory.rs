//! What was revoked and may still come along in a token.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use serde::Deserialize;

use crate::claims::Claims;
use crate::verify::MAX_SKEW;

/// The data of a `revocation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Notice {
    gid: Option<String>,
    jti: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    revoked_at: Option<i64>,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Every token of a grant.
    Grant,
    /// One token.
    Token,
    /// The tokens of a person that were issued until then, or a minute later.
    Subject,
    /// The tokens of a client that were issued until then, or a minute later.
    Client,
}

/// What came of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    Remembered,
    /// It is about tokens that have all expired.
    Past,
    /// It names nothing that this version knows.
    Unknown,
    /// There is no room for it.
    Full,
}

/// Bounded. An entry stays until the tokens that it is about have expired.
#[derive(Debug)]
pub(super) struct Memory {
    by_kind: [HashMap<String, UnixSeconds>; 4],
    /// In the order of coming, which is nearly that of leaving.
    order: VecDeque<(UnixSeconds, Kind, String)>,
    capacity: usize,
    /// How long a token may count after its grant was revoked: its lifetime, and what clocks may differ.
    keep: Duration,
}

impl Memory {
    pub(super) fn new(capacity: usize, keep: Duration) -> Self {
        Self {
            by_kind: Default::default(),
            order: VecDeque::new(),
            capacity,
            keep,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn note(&mut self, notice: Notice, now: UnixSeconds) -> Noted {
        let (kind, id) = match notice {
            Notice { gid: Some(id), .. } => (Kind::Grant, id),
            Notice { jti: Some(id), .. } => (Kind::Token, id),
            Notice { sub: Some(id), .. } => (Kind::Subject, id),
            Notice {
                client_id: Some(id), ..
            } => (Kind::Client, id),
            _ => return Noted::Unknown,
        };
        // A clock ahead of this one must not make an entry stay for ever.
        let revoked_at = notice.revoked_at.map_or(now, UnixSeconds).min(now + self.keep);
        let until = revoked_at.min(now) + self.keep;
        if until < now {
            return Noted::Past;
        }
        self.forget(now);
        let known = &mut self.by_kind[kind as usize];
        if let Some(known) = known.get_mut(&id) {
            if *known >= revoked_at {
                return Noted::Remembered;
            }
        } else if self.order.len() >= self.capacity {
            return Noted::Full;
        }
        if known.insert(id.clone(), revoked_at).is_none() {
            self.order.push_back((until, kind, id));
        }
        Noted::Remembered
    }

    /// Whether the token was revoked.
    pub(super) fn holds(&self, claims: &Claims) -> bool {
        let [grants, tokens, subjects, clients] = &self.by_kind;
        // The node that issued the token may have a clock that is ahead of the one that revoked.
        let issued_until = |known: &HashMap<String, UnixSeconds>, id: &str| {
            known
                .get(id)
                .is_some_and(|until| claims.issued_at <= *until + MAX_SKEW)
        };
        claims.grant_id.as_ref().is_some_and(|id| grants.contains_key(id))
            || tokens.contains_key(&claims.jti)
            || issued_until(subjects, &claims.subject)
            || issued_until(clients, &claims.client_id)
    }

    /// Lets go of what is past its use.
    pub(super) fn forget(&mut self, now: UnixSeconds) {
        while let Some((until, kind, id)) = self.order.front_mut() {
            if *until >= now {
                return;
            }
            let known = &mut self.by_kind[*kind as usize];
            // It may have been revoked again since: a client that was enabled in between.
            let last = known.get(id.as_str()).map(|revoked_at| *revoked_at + self.keep);
            if let Some(last) = last.filter(|last| *last >= now) {
                *until = last;
                let entry = self.order.pop_front();
                self.order.extend(entry);
            } else {
                known.remove(id.as_str());
                self.order.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::TokenClaims;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
    const KEEP: Duration = Duration::from_secs(100);

    fn memory() -> Memory {
        Memory::new(3, KEEP)
    }

    fn notice(member: &str, id: &str, revoked_at: i64) -> Notice {
        serde_json::from_str(&format!(
            r#"{{"{member}":"{id}","revoked_at":{revoked_at},"new":[]}}"#
        ))
        .unwrap()
    }

    /// Of grant `g`, person `s`, client `c`, issued at [`NOW`].
    fn claims() -> Claims {
        let mut claims = TokenClaims::new("https://as.example", "s", "c", NOW + KEEP);
        claims.jti = "t".to_owned();
        claims.grant_id = Some("g".to_owned());
        claims.issued_at = NOW;
        claims.into()
    }

    #[test]
    fn a_token_is_revoked_with_its_grant_by_its_own_id_or_with_its_person_or_client() {
        for (member, id) in [("gid", "g"), ("jti", "t"), ("sub", "s"), ("client_id", "c")] {
            let mut memory = memory();
            assert!(!memory.holds(&claims()));
            assert_eq!(
                memory.note(notice(member, "other", NOW.0), NOW),
                Noted::Remembered
            );
            assert!(!memory.holds(&claims()));
            assert_eq!(memory.note(notice(member, id, NOW.0), NOW), Noted::Remembered);
            assert!(memory.holds(&claims()), "{member}");
        }
    }

    #[test]
    fn a_person_or_client_that_comes_back_gets_tokens_that_count() {
        let mut memory = memory();
        memory.note(notice("client_id", "c", NOW.0 - 61), NOW);
        memory.note(notice("sub", "s", NOW.0 - 61), NOW);
        assert!(!memory.holds(&claims()));
        memory.note(notice("client_id", "c", NOW.0), NOW);
        assert!(memory.holds(&claims()));
        // An older notice that comes late takes nothing back.
        memory.note(notice("client_id", "c", NOW.0 - 61), NOW);
        assert!(memory.holds(&claims()));
    }

    #[test]
    fn a_token_of_a_node_whose_clock_is_a_minute_ahead_is_revoked_with_its_person_or_client() {
        for (member, id) in [("sub", "s"), ("client_id", "c")] {
            let mut memory = memory();
            memory.note(notice(member, id, NOW.0 - 60), NOW);
            assert!(memory.holds(&claims()), "{member}");
        }
    }

    #[test]
    fn an_entry_stays_until_the_tokens_have_expired() {
        let mut memory = memory();
        memory.note(notice("gid", "g", NOW.0), NOW);
        memory.note(notice("client_id", "c", NOW.0), NOW);
        memory.note(
            notice("client_id", "c", NOW.0 + 50),
            NOW + Duration::from_secs(50),
        );
        memory.forget(NOW + KEEP);
        assert_eq!(memory.len(), 2);
        memory.forget(NOW + KEEP + Duration::from_secs(1));
        assert_eq!(memory.len(), 1);
        assert!(memory.holds(&claims()));
        memory.forget(NOW + KEEP + Duration::from_secs(51));
        assert_eq!(memory.len(), 0);
        assert!(!memory.holds(&claims()));
        assert_eq!(memory.note(notice("gid", "g", NOW.0 - 101), NOW), Noted::Past);
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_entry_stay_for_ever() {
        let mut memory = memory();
        for far in [NOW.0 + 1_000_000, i64::MAX] {
            memory.note(notice("gid", "g", far), NOW);
            memory.note(notice("client_id", "c", far), NOW);
        }
        memory.forget(NOW + KEEP * 2 + Duration::from_secs(1));
        assert_eq!(memory.len(), 0);
    }

    #[test]
    fn nothing_is_pushed_out_when_it_is_full() {
        let mut memory = memory();
        for id in ["g", "h", "i"] {
            assert_eq!(memory.note(notice("gid", id, NOW.0), NOW), Noted::Remembered);
        }
        assert_eq!(memory.note(notice("gid", "j", NOW.0), NOW), Noted::Full);
        assert_eq!(memory.note(notice("gid", "g", NOW.0), NOW), Noted::Remembered);
        assert!(memory.holds(&claims()));
        let later = NOW + KEEP + Duration::from_secs(1);
        assert_eq!(memory.note(notice("gid", "j", later.0), later), Noted::Remembered);
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn what_is_not_known_is_said_to_be() {
        let notice = serde_json::from_str(r#"{"session":"x","revoked_at":1}"#).unwrap();
        assert_eq!(memory().note(notice, NOW), Noted::Unknown);
    }
}
