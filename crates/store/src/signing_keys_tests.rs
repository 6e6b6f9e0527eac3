//! The clock decides, and nothing else.

use proptest::prelude::*;

use super::*;

fn key(name: &str, signs_from: i64, revoked_at: Option<i64>) -> SigningKeyRecord {
    SigningKeyRecord {
        key_id: name.to_owned(),
        algorithm: "ES256".to_owned(),
        sealed_private_key: Vec::new(),
        created_at: UnixSeconds(0),
        signs_from: UnixSeconds(signs_from),
        revoked_at: revoked_at.map(UnixSeconds),
    }
}

/// Who signs, who is next, and where each stands, newest first.
fn picture(keys: &[SigningKeyRecord], now: i64) -> (Option<&str>, Option<&str>, Vec<SigningKeyState>) {
    let now = UnixSeconds(now);
    (
        signer(keys, now).map(|key| key.key_id.as_str()),
        next(keys, now).map(|key| key.key_id.as_str()),
        (0..keys.len()).map(|place| state(keys, place, now)).collect(),
    )
}

#[test]
fn a_key_waits_signs_and_is_followed() {
    use SigningKeyState::{Active, Next, Previous};
    let keys = [key("b", 100, None), key("a", 0, None)];
    assert_eq!(picture(&keys, 99), (Some("a"), Some("b"), vec![Next, Active]));
    assert_eq!(picture(&keys, 100), (Some("b"), None, vec![Active, Previous]));
    assert_eq!(stops_at(&keys, 1), Some(UnixSeconds(100)));
    assert_eq!(stops_at(&keys, 0), None);
}

#[test]
fn a_key_that_was_revoked_before_its_time_changes_nothing() {
    use SigningKeyState::{Active, Revoked};
    let keys = [key("b", 100, Some(50)), key("a", 0, None)];
    assert_eq!(picture(&keys, 200), (Some("a"), None, vec![Revoked, Active]));
    assert_eq!(stops_at(&keys, 1), None);
}

#[test]
fn what_a_revoked_key_had_replaced_does_not_sign_again() {
    use SigningKeyState::{Active, Previous, Revoked};
    let keys = [key("c", 150, None), key("b", 100, Some(150)), key("a", 0, None)];
    assert_eq!(
        picture(&keys, 150),
        (Some("c"), None, vec![Active, Revoked, Previous])
    );
    assert_eq!(stops_at(&keys, 2), Some(UnixSeconds(100)));
}

/// By the clock of another node: one that is ahead has withdrawn the key, or knows a key that does not sign here yet.
#[test]
fn who_follows_a_withdrawn_key_signs_at_once_whatever_the_clock() {
    use SigningKeyState::{Active, Next, Previous, Revoked};
    let keys = [key("c", 4000, None), key("b", 100, Some(4000)), key("a", 0, None)];
    for now in [400, 3999, 4000, 9000] {
        assert_eq!(
            picture(&keys, now),
            (Some("c"), None, vec![Active, Revoked, Previous])
        );
    }
    assert_eq!(stops_at(&keys, 1), Some(UnixSeconds(4000)));
    assert_eq!(stops_at(&keys, 2), Some(UnixSeconds(100)));
    // Where the withdrawn one had not begun, the one before has not stopped.
    assert_eq!(
        picture(&keys, 99),
        (Some("a"), Some("c"), vec![Next, Revoked, Active])
    );
}

#[test]
fn of_several_that_follow_a_withdrawn_key_the_earliest_signs() {
    use SigningKeyState::{Active, Next, Revoked};
    let keys = [key("c", 900, None), key("b", 600, None), key("a", 0, Some(4000))];
    assert_eq!(
        picture(&keys, 400),
        (Some("b"), Some("c"), vec![Next, Active, Revoked])
    );
    // Asked again, and again withdrawn.
    let keys = [
        key("c", 4100, None),
        key("b", 4000, Some(400)),
        key("a", 0, Some(4000)),
    ];
    assert_eq!(picture(&keys, 400).0, Some("c"));
}

#[test]
fn without_any_that_follows_the_one_before_signs() {
    use SigningKeyState::{Active, Revoked};
    let keys = [key("b", 100, Some(150)), key("a", 0, None)];
    assert_eq!(picture(&keys, 150), (Some("a"), None, vec![Revoked, Active]));
}

#[test]
fn a_key_that_is_overtaken_while_it_waits_never_signs() {
    let keys = [key("c", 100, None), key("b", 100, None), key("a", 0, None)];
    assert_eq!(next(&keys, UnixSeconds(0)).unwrap().key_id, "c");
    assert_eq!(signer(&keys, UnixSeconds(100)).unwrap().key_id, "c");
    assert_eq!(state(&keys, 1, UnixSeconds(100)), SigningKeyState::Previous);
}

proptest! {
    /// Whatever the times: at most one key is active, it is the one that signs, and whoever has stopped stays stopped.
    #[test]
    fn one_key_signs_at_a_time(times in prop::collection::vec((0i64..100, prop::option::of(0i64..100)), 0..6), now in 0i64..100) {
        let keys: Vec<_> = times.iter().enumerate()
            .map(|(number, (from, revoked))| key(&number.to_string(), *from, *revoked))
            .collect();
        let now = UnixSeconds(now);
        let active: Vec<_> = (0..keys.len()).filter(|place| state(&keys, *place, now) == SigningKeyState::Active).collect();
        prop_assert!(active.len() <= 1);
        prop_assert_eq!(signer(&keys, now), active.first().and_then(|place| keys.get(*place)));
        for place in 0..keys.len() {
            if state(&keys, place, now) == SigningKeyState::Previous {
                prop_assert!(stops_at(&keys, place).is_some_and(|stopped| stopped <= now));
            }
        }
    }
}
