use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn full() -> Value {
    json!({
        "iss": "https://as.example", "sub": "u1", "aud": "https://rs.example/mcp", "client_id": "c1", "scope": "a b",
        "jti": "t1", "iat": 1000, "exp": 1300, "nbf": 1000, "gid": "g1", "cnf": {"jkt": "k"},
        "act": {"sub": "agent", "act": {"sub": "earlier"}}, "auth_time": 900, "amr": ["pwd"], "tenant": "x"
    })
}

fn with(name: &str, value: Value) -> serde_json::Result<AccessTokenClaims> {
    let mut claims = full();
    claims[name] = value;
    serde_json::from_value(claims)
}

#[test]
fn claims_survive_a_round_trip() {
    let claims: AccessTokenClaims = serde_json::from_value(full()).unwrap();
    assert_eq!(claims.extra.get("tenant"), Some(&json!("x")));
    assert_eq!(serde_json::to_value(&claims).unwrap(), full());
}

#[test]
fn a_number_of_many_digits_keeps_its_value() {
    let text = full()
        .to_string()
        .replace("\"x\"", &format!("1{}.5", "69".repeat(45)));
    let read: AccessTokenClaims = serde_json::from_str(&text).unwrap();
    let again: AccessTokenClaims = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn optional_claims_may_be_absent() {
    let mandatory = ["iss", "sub", "aud", "client_id", "jti", "iat", "exp"];
    let mut claims = full();
    claims
        .as_object_mut()
        .unwrap()
        .retain(|name, _| mandatory.contains(&name.as_str()));
    let read: AccessTokenClaims = serde_json::from_value(claims.clone()).unwrap();
    assert_eq!(read.scope, None);
    assert!(read.scopes().is_empty());
    assert_eq!(serde_json::to_value(&read).unwrap(), claims);
    for name in mandatory {
        let mut incomplete = claims.clone();
        incomplete.as_object_mut().unwrap().remove(name);
        assert!(
            serde_json::from_value::<AccessTokenClaims>(incomplete).is_err(),
            "{name}"
        );
    }
}

/// A verifier that treats a wrong-typed `exp` as absent accepts tokens that never end.
#[test]
fn a_wrong_type_is_an_error_never_absent() {
    let wrong: BTreeMap<&str, Vec<Value>> = BTreeMap::from([
        ("iss", vec![json!(1), json!(null), json!(["https://as.example"])]),
        ("sub", vec![json!(1), json!(null)]),
        (
            "aud",
            vec![
                json!([]),
                json!(1),
                json!(null),
                json!([1]),
                json!([["x"]]),
                json!({"a": "b"}),
            ],
        ),
        ("client_id", vec![json!(1), json!(null)]),
        (
            "scope",
            vec![json!(["a"]), json!(null), json!(1), json!("a\"b"), json!("a\tb")],
        ),
        ("jti", vec![json!(1), json!(null)]),
        (
            "iat",
            vec![
                json!("1000"),
                json!(null),
                json!(true),
                json!([1000]),
                json!(1e300),
            ],
        ),
        (
            "exp",
            vec![
                json!("1300"),
                json!(null),
                json!({}),
                json!(u64::MAX),
                json!(-1e300),
            ],
        ),
        ("nbf", vec![json!("1000"), json!(null)]),
        ("gid", vec![json!(7), json!(null)]),
        (
            "cnf",
            vec![
                json!("k"),
                json!(null),
                json!({}),
                json!({"jkt": 1}),
                json!({"jkt": "k", "x5t#S256": "y"}),
                json!({"x5t#S256": "y"}),
                json!(["k"]),
            ],
        ),
        (
            "act",
            vec![
                json!("agent"),
                json!(null),
                json!({}),
                json!({"sub": 1}),
                json!({"sub": "a", "act": null}),
                json!(["agent"]),
                json!(["agent", null, null, null, {}]),
                json!({"sub": "a", "act": ["b"]}),
            ],
        ),
        ("auth_time", vec![json!("900"), json!(null)]),
        ("amr", vec![json!("pwd"), json!(null), json!([1])]),
    ]);
    for (name, values) in wrong {
        for value in values {
            assert!(with(name, value.clone()).is_err(), "{name}: {value}");
        }
    }
}

#[test]
fn fractions_of_seconds_are_floored() {
    assert_eq!(with("exp", json!(1300.9)).unwrap().exp, UnixSeconds(1300));
    assert_eq!(with("nbf", json!(-0.5)).unwrap().nbf, Some(UnixSeconds(-1)));
    assert_eq!(with("exp", json!(1.3e3)).unwrap().exp, UnixSeconds(1300));
}

#[test]
fn one_audience_is_a_string_and_several_are_an_array() {
    let several = with("aud", json!(["https://a.example", "https://b.example"]))
        .unwrap()
        .aud;
    assert!(several.contains("https://b.example") && !several.contains("https://B.example"));
    assert_eq!(
        serde_json::to_value(&several).unwrap(),
        json!(["https://a.example", "https://b.example"])
    );
    let one = with("aud", json!(["https://a.example"])).unwrap().aud;
    assert_eq!(serde_json::to_value(&one).unwrap(), json!("https://a.example"));
    assert_eq!(Audience::several(Vec::new()), None);
}

#[test]
fn the_empty_scope_is_no_scope() {
    assert_eq!(with("scope", json!("")).unwrap().scope, Some(ScopeSet::new()));
}

#[test]
fn typ_is_compared_without_case_and_prefix() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(typ_is_access_token(typ), "{typ}");
    }
    for typ in [
        "",
        "JWT",
        "jwt",
        "at+jwt ",
        "text/at+jwt",
        "application/application/at+jwt",
        "dpop+jwt",
        "application/",
    ] {
        assert!(!typ_is_access_token(typ), "{typ}");
    }
}
