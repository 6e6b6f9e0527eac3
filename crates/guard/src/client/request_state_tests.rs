use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn alice() -> Principal {
    Principal {
        issuer: "https://as.example".to_owned(),
        client_id: "app".to_owned(),
        subject: "alice".to_owned(),
    }
}

fn states() -> RequestStates {
    RequestStates::new(&[RequestStateKey::new([7; 32])]).unwrap()
}

fn seal(principal: &Principal, params: &Value) -> String {
    let request = BoundRequest {
        principal,
        method: "tools/call",
        params,
    };
    states().seal(&request, b"data", NOW + LIFETIME).unwrap()
}

fn open(
    state: &str,
    principal: &Principal,
    method: &str,
    params: &Value,
    now: UnixSeconds,
) -> Result<Vec<u8>, RequestStateError> {
    let request = BoundRequest {
        principal,
        method,
        params,
    };
    states().open(state, &request, now)
}

#[test]
fn a_state_comes_back_with_its_request() {
    let params = json!({"name": "mail", "arguments": {"to": "b", "n": 1}});
    let state = seal(&alice(), &params);
    assert_eq!(
        open(&state, &alice(), "tools/call", &params, NOW).unwrap(),
        b"data"
    );
    let retry = json!({
        "arguments": {"n": 1, "to": "b"},
        "name": "mail",
        "requestState": state,
        "inputResponses": {"consent": {"action": "accept"}},
        "_meta": {"progressToken": 2},
    });
    assert_eq!(
        open(&state, &alice(), "tools/call", &retry, NOW).unwrap(),
        b"data"
    );
}

#[test]
fn a_state_expires() {
    let state = seal(&alice(), &json!({}));
    let late = |seconds| {
        open(
            &state,
            &alice(),
            "tools/call",
            &json!({}),
            NOW + Duration::from_secs(seconds),
        )
    };
    assert!(late(599).is_ok());
    assert_eq!(late(600), Err(RequestStateError::Expired));
}

#[test]
fn a_state_of_somebody_else_is_refused() {
    let state = seal(&alice(), &json!({}));
    for other in [
        Principal {
            issuer: "https://other.example".to_owned(),
            ..alice()
        },
        Principal {
            client_id: "app2".to_owned(),
            ..alice()
        },
        Principal {
            subject: "bob".to_owned(),
            ..alice()
        },
        // The parts run together to the same text.
        Principal {
            client_id: "appa".to_owned(),
            subject: "lice".to_owned(),
            ..alice()
        },
    ] {
        let outcome = open(&state, &other, "tools/call", &json!({}), NOW);
        assert_eq!(outcome, Err(RequestStateError::OtherPrincipal), "{other:?}");
    }
}

#[test]
fn a_state_of_another_request_is_refused() {
    let state = seal(&alice(), &json!({"name": "mail", "arguments": {"n": 1}}));
    for (method, params) in [
        ("tools/call", json!({"name": "mail", "arguments": {"n": 2}})),
        ("tools/call", json!({"name": "mail", "arguments": {"n": "1"}})),
        ("tools/call", json!({"name": "mail", "arguments": {"n": [1]}})),
        ("tools/call", json!({"name": "mail"})),
        ("tools/call", json!({"name": "delete", "arguments": {"n": 1}})),
        (
            "tools/call",
            json!({"name": "mail", "arguments": {"n": 1}, "extra": null}),
        ),
        ("prompts/get", json!({"name": "mail", "arguments": {"n": 1}})),
        ("tools/call", json!(null)),
    ] {
        let outcome = open(&state, &alice(), method, &params, NOW);
        assert_eq!(outcome, Err(RequestStateError::OtherRequest), "{method} {params}");
    }
}

#[test]
fn only_the_own_keys_open_and_old_ones_still_do() {
    let state = seal(&alice(), &json!({}));
    let principal = alice();
    let request = BoundRequest {
        principal: &principal,
        method: "tools/call",
        params: &json!({}),
    };
    let keys = |bytes: &[u8]| {
        let keys: Vec<_> = bytes
            .iter()
            .map(|byte| RequestStateKey::new([*byte; 32]))
            .collect();
        RequestStates::new(&keys).unwrap()
    };
    assert_eq!(
        keys(&[8]).open(&state, &request, NOW),
        Err(RequestStateError::Tampered)
    );
    assert!(keys(&[8, 7]).open(&state, &request, NOW).is_ok());
    let (one, other) = (RequestStates::new(&[]).unwrap(), RequestStates::new(&[]).unwrap());
    let state = one.seal(&request, b"", NOW + LIFETIME).unwrap();
    assert!(one.open(&state, &request, NOW).is_ok());
    assert_eq!(
        other.open(&state, &request, NOW),
        Err(RequestStateError::Tampered)
    );
}

#[test]
fn a_state_shows_nothing_and_is_bounded() {
    let state = seal(&alice(), &json!({"name": "canary"}));
    let bytes = base64url::decode(&state).unwrap();
    assert!(!bytes.windows(4).any(|part| part == b"data"));
    assert_ne!(state, seal(&alice(), &json!({"name": "canary"})));
    let principal = alice();
    let request = BoundRequest {
        principal: &principal,
        method: "m",
        params: &json!({}),
    };
    let full = states().seal(&request, &[0; MAX_DATA], NOW + LIFETIME).unwrap();
    assert_eq!(states().open(&full, &request, NOW).unwrap().len(), MAX_DATA);
    assert_eq!(
        states().seal(&request, &[0; MAX_DATA + 1], NOW),
        Err(RequestStateError::TooLarge)
    );
    assert!(!format!("{:?}{:?}", RequestStateKey::new([7; 32]), states()).contains('7'));
}

proptest! {
    /// Whatever is done to a state, it opens as it was or not at all.
    #[test]
    fn a_changed_state_never_opens(position in 0_usize..10_000, replacement in "[A-Za-z0-9_-]", cut in 0_usize..200) {
        let state = seal(&alice(), &json!({"a": 1}));
        let position = position % state.len();
        let mut changed = state.clone();
        changed.replace_range(position..=position, &replacement);
        prop_assume!(changed != state);
        prop_assert_eq!(open(&changed, &alice(), "tools/call", &json!({"a": 1}), NOW), Err(RequestStateError::Tampered));
        let cut = &state[..cut.min(state.len() - 1)];
        prop_assert_eq!(open(cut, &alice(), "tools/call", &json!({"a": 1}), NOW), Err(RequestStateError::Tampered));
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in ".{0,300}") {
        prop_assert_eq!(open(&text, &alice(), "tools/call", &json!({}), NOW), Err(RequestStateError::Tampered));
    }

    #[test]
    fn what_is_sealed_comes_back(data in prop::collection::vec(any::<u8>(), 0..600), subject in ".{0,40}", method in ".{0,20}") {
        let principal = Principal { subject, ..alice() };
        let request = BoundRequest { principal: &principal, method: &method, params: &json!({"x": [1, "2"]}) };
        let state = states().seal(&request, &data, NOW + LIFETIME).unwrap();
        prop_assert_eq!(states().open(&state, &request, NOW).unwrap(), data);
    }
}
