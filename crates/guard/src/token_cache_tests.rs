use super::*;
use crate::claims::TokenClaims;

const NOW: UnixSeconds = UnixSeconds(1_000);
const STAMP: Stamp = Stamp {
    issuer: 1,
    generation: 3,
};

fn claims(grant_id: &str, expires_at: i64) -> Claims {
    let mut claims = TokenClaims::new("https://as.example", "alice", "client-1", UnixSeconds(expires_at));
    claims.grant_id = Some(grant_id.to_owned());
    claims.into()
}

fn hashed(token: &str) -> HashedToken<'_> {
    HashedToken::new(token.as_bytes())
}

fn remember(cache: &TokenCache, token: &str, grant_id: &str) {
    cache.put(&hashed(token), STAMP, &claims(grant_id, 1_100));
}

fn knows(cache: &TokenCache, token: &str) -> bool {
    cache.get(&hashed(token), NOW, |stamp| stamp == STAMP).is_some()
}

#[test]
fn a_token_is_known_until_it_ends_and_while_its_keys_are_current() {
    let cache = TokenCache::new(10);
    remember(&cache, "token", "g-1");
    assert!(knows(&cache, "token") && !knows(&cache, "other"));
    let at = |now: i64| cache.get(&hashed("token"), UnixSeconds(now), |_| true).is_some();
    assert!(at(1_099) && !at(1_100), "no skew on top");
    assert!(cache.get(&hashed("token"), NOW, |_| false).is_none());
}

#[test]
fn a_token_and_a_grant_can_be_forgotten() {
    let cache = TokenCache::new(10);
    for (token, grant_id) in [("a", "g-1"), ("b", "g-1"), ("c", "g-2"), ("d", "g-3")] {
        remember(&cache, token, grant_id);
    }
    cache.evict("d");
    cache.evict("unknown");
    cache.forget_grant("g-1");
    cache.forget_grant("unknown");
    let known: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .filter(|token| knows(&cache, token))
        .collect();
    assert_eq!(known, ["c"]);
}

#[test]
fn the_number_of_tokens_is_bounded_and_zero_is_none() {
    let cache = TokenCache::new(100);
    for number in 0..10_000 {
        remember(&cache, &number.to_string(), "g-1");
    }
    let known = (0..10_000)
        .filter(|number| knows(&cache, &number.to_string()))
        .count();
    assert!((50..=100).contains(&known), "{known}");
    let none = TokenCache::new(0);
    assert!(none.hashed(b"token").is_none());
    none.put(&hashed("token"), STAMP, &claims("g-1", 1_100));
    none.evict("token");
    none.forget_grant("g-1");
    assert!(none.get(&hashed("token"), NOW, |_| true).is_none());
}
