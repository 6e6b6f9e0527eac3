//! Assertions as grants: the rules.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::time::Duration;

use doorward_jose::{Algorithm, Jws, SigningKey, sign};
use doorward_oauth::bearer::{
    BearerError, KeySource, Kind, Pattern, Rule, ScopeRefusal, Terms, narrow, verify,
};
use doorward_oauth::scope::{MAX_SCOPES, Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const IDP: &str = "https://idp.example";
const SERVER: &str = "https://as.example";
const RESOURCE: &str = "https://mcp.example/mcp";

fn terms() -> Terms {
    Terms {
        keys: KeySource::Discovery,
        algorithms: vec![Algorithm::Es256],
        audiences: Vec::new(),
        max_lifetime: 600,
        single_use: false,
        public_clients: false,
        provision: false,
        tenant: None,
        id_token_clients: std::collections::BTreeMap::new(),
        rules: vec![rule(json!({}), "read write")],
    }
}

fn rule(claims: Value, scopes: &str) -> Rule {
    Rule {
        name: "r".to_owned(),
        client_ids: vec!["app".to_owned()],
        claims: serde_json::from_value(claims).unwrap(),
        resource: RESOURCE.to_owned(),
        scopes: ScopeSet::parse(scopes).unwrap(),
        token_lifetime: None,
    }
}

fn claims() -> Value {
    json!({
        "iss": IDP, "sub": "00u1", "aud": SERVER, "client_id": "app", "jti": "j1",
        "iat": NOW.0 - 5, "exp": NOW.0 + 300, "scope": "read", "resource": RESOURCE,
    })
}

fn check(kind: Kind, claims: &Value) -> Result<(), BearerError> {
    check_under(&terms(), kind, claims)
}

fn check_under(terms: &Terms, kind: Kind, claims: &Value) -> Result<(), BearerError> {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = sign(&key, "oauth-id-jag+jwt", claims).unwrap();
    let jws = Jws::parse(&token).unwrap();
    verify(&jws, key.public_jwk(), kind, IDP, terms, &[SERVER], NOW).map(drop)
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

#[test]
fn the_typ_says_what_an_assertion_is_about() {
    for typ in [
        "oauth-id-jag+jwt",
        "application/oauth-id-jag+jwt",
        "OAuth-ID-JAG+JWT",
    ] {
        assert_eq!(Kind::of_typ(Some(typ)), Some(Kind::IdJag), "{typ}");
    }
    for typ in [None, Some("JWT"), Some("JOSE"), Some("jwt")] {
        assert_eq!(Kind::of_typ(typ), Some(Kind::Workload), "{typ:?}");
    }
    for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "", "id-jag"] {
        assert_eq!(Kind::of_typ(Some(typ)), None, "{typ}");
    }
}

/// TX-025. The `aud` is the client's name at the provider.
#[test]
fn an_id_token_is_for_one_client_and_a_day_at_most() {
    let with = |name: &str, value: Value| {
        let mut claims = with(name, value);
        for of_an_id_jag in ["client_id", "jti", "scope", "resource"] {
            claims.as_object_mut().unwrap().remove(of_an_id_jag);
        }
        check(Kind::IdToken, &claims)
    };
    assert_eq!(with("azp", json!(SERVER)), Ok(()));
    assert_eq!(
        with("exp", json!(NOW.0 + 86_400)),
        Ok(()),
        "more than an assertion may be"
    );
    for (name, value, error) in [
        ("azp", json!("another"), BearerError::Audience),
        ("aud", json!([SERVER, "another"]), BearerError::Audience),
        ("aud", json!("another"), BearerError::Audience),
        ("exp", json!(NOW.0 + 90_000), BearerError::TooLong),
        ("exp", json!(NOW.0), BearerError::Stale),
        ("iat", Value::Null, BearerError::Claims),
        ("auth_time", json!("today"), BearerError::Claims),
        ("sub", json!(""), BearerError::Subject),
    ] {
        assert_eq!(with(name, value.clone()), Err(error), "{name}: {value}");
    }
}

/// RFC 9470: a time ahead would be recent for ever. Milliseconds are the usual mistake.
#[test]
fn nobody_signed_in_later_than_now_but_for_the_skew() {
    for kind in [Kind::IdJag, Kind::IdToken] {
        let with = |name: &str, value: Value| {
            let mut claims = with(name, value);
            if kind == Kind::IdToken {
                claims.as_object_mut().unwrap().remove("scope");
            }
            claims
        };
        for good in [0, NOW.0, NOW.0 + 60] {
            assert_eq!(check(kind, &with("auth_time", json!(good))), Ok(()), "{good}");
        }
        for ahead in [NOW.0 + 61, NOW.0 * 1000, i64::MAX] {
            assert_eq!(
                check(kind, &with("auth_time", json!(ahead))),
                Err(BearerError::SignInFromTheFuture),
                "{ahead}"
            );
        }
    }
}

/// JWTB-003, JWTB-004, JWTB-007, JWTB-009.
#[test]
fn an_id_jag_has_every_claim_and_one_audience() {
    assert_eq!(check(Kind::IdJag, &claims()), Ok(()));
    assert_eq!(check(Kind::IdJag, &with("aud", json!([SERVER]))), Ok(()));
    assert_eq!(check(Kind::IdJag, &with("scope", Value::Null)), Ok(()));
    assert_eq!(
        check(
            Kind::IdJag,
            &with("resource", json!([RESOURCE, "https://b.example"]))
        ),
        Ok(())
    );
    for (name, value, error) in [
        ("aud", json!("https://other.example"), BearerError::Audience),
        (
            "aud",
            json!([SERVER, "https://other.example"]),
            BearerError::Audience,
        ),
        ("aud", json!([SERVER, SERVER]), BearerError::Audience),
        (
            "aud",
            json!("https://as.example.evil.example"),
            BearerError::Audience,
        ),
        ("aud", json!([]), BearerError::Claims),
        ("aud", json!(123), BearerError::Claims),
        ("aud", Value::Null, BearerError::Claims),
        ("iss", json!("https://idp.example/"), BearerError::Issuer),
        ("iss", Value::Null, BearerError::Claims),
        ("sub", json!(""), BearerError::Subject),
        ("sub", json!("a\u{0}b"), BearerError::Subject),
        ("sub", json!("x".repeat(1025)), BearerError::Subject),
        ("client_id", Value::Null, BearerError::Claims),
        ("client_id", json!(["app"]), BearerError::Claims),
        ("jti", Value::Null, BearerError::Jti),
        ("jti", json!(""), BearerError::Jti),
        ("jti", json!("x".repeat(10_240)), BearerError::Jti),
        ("jti", json!(7), BearerError::Claims),
        ("iat", Value::Null, BearerError::Claims),
        ("iat", json!(NOW.0 + 61), BearerError::FromTheFuture),
        ("nbf", json!(NOW.0 + 61), BearerError::FromTheFuture),
        ("iat", json!(NOW.0 - 661), BearerError::Stale),
        ("exp", json!(NOW.0), BearerError::Stale),
        ("exp", json!(NOW.0 + 661), BearerError::TooLong),
        ("exp", json!("soon"), BearerError::Claims),
        ("scope", json!(["read"]), BearerError::Claims),
        ("resource", json!([]), BearerError::Claims),
        ("cnf", json!({"x5t#S256": "abc"}), BearerError::Claims),
        ("cnf", json!(["abc"]), BearerError::Claims),
    ] {
        assert_eq!(
            check(Kind::IdJag, &with(name, value.clone())),
            Err(error),
            "{name}: {value}"
        );
    }
}

/// The `sub` of an issuer with tenants names one person in each.
#[test]
fn an_issuer_of_several_tenants_speaks_for_the_named_one_alone() {
    let named = Terms {
        tenant: Some("t1".to_owned()),
        ..terms()
    };
    let of_tenant = |kind: Kind, tenant: Value| {
        let mut claims = with("tenant", tenant);
        if kind == Kind::IdToken {
            claims.as_object_mut().unwrap().remove("scope");
        }
        claims
    };
    for kind in [Kind::IdJag, Kind::IdToken] {
        assert_eq!(check_under(&named, kind, &of_tenant(kind, json!("t1"))), Ok(()));
        for other in [json!("t2"), json!("T1"), json!(""), json!(["t1"]), Value::Null] {
            assert_eq!(
                check_under(&named, kind, &of_tenant(kind, other.clone())),
                Err(BearerError::Tenant),
                "{other}"
            );
        }
        let unnamed = check_under(&terms(), kind, &of_tenant(kind, json!("t1")));
        assert_eq!(unnamed, Err(BearerError::Tenant));
    }
    let workload = of_tenant(Kind::Workload, json!("t2"));
    assert_eq!(check_under(&named, Kind::Workload, &workload), Ok(()));
}

/// RFC 9396: details that nobody reads would be dropped.
#[test]
fn an_id_jag_with_authorization_details_is_refused() {
    for details in [json!([{ "type": "payment" }]), json!([])] {
        let claims = with("authorization_details", details);
        assert_eq!(
            check(Kind::IdJag, &claims),
            Err(BearerError::AuthorizationDetails)
        );
        assert_eq!(check(Kind::Workload, &claims), Ok(()));
    }
}

/// OpenID Connect Back-Channel Logout §2.4, and access tokens that have no `typ` in the header.
#[test]
fn another_jwt_of_a_provider_is_no_id_token() {
    let mut id_token = with("scope", Value::Null);
    for typ in ["ID", "JWT"] {
        id_token["typ"] = json!(typ);
        assert_eq!(check(Kind::IdToken, &id_token), Ok(()), "{typ}");
    }
    for typ in ["Bearer", "Logout", "Refresh", "id", ""] {
        id_token["typ"] = json!(typ);
        assert_eq!(
            check(Kind::IdToken, &id_token),
            Err(BearerError::NoIdToken),
            "{typ}"
        );
    }
    id_token["typ"] = json!("ID");
    for name in ["events", "scope", "scp", "appid"] {
        let mut other = id_token.clone();
        other[name] = json!("x");
        assert_eq!(
            check(Kind::IdToken, &other),
            Err(BearerError::NoIdToken),
            "{name}"
        );
    }
}

#[test]
fn what_counts_once_has_a_name() {
    let once = Terms {
        single_use: true,
        ..terms()
    };
    for kind in [Kind::Workload, Kind::IdToken] {
        let mut claims = with("jti", Value::Null);
        claims.as_object_mut().unwrap().remove("scope");
        assert_eq!(check(kind, &claims), Ok(()));
        assert_eq!(check_under(&once, kind, &claims), Err(BearerError::Jti));
        claims["jti"] = json!("j1");
        assert_eq!(check_under(&once, kind, &claims), Ok(()));
    }
}

#[test]
fn the_last_moment_and_the_longest_name_still_count() {
    for (name, value) in [
        ("sub", json!("x".repeat(1024))),
        ("jti", json!("x".repeat(256))),
        ("iat", json!(NOW.0 + 60)),
        ("nbf", json!(NOW.0 + 60)),
        ("iat", json!(NOW.0 - 660)),
        ("exp", json!(NOW.0 + 660)),
        ("exp", json!(NOW.0 + 1)),
    ] {
        assert_eq!(check(Kind::IdJag, &with(name, value.clone())), Ok(()), "{name}");
    }
    let too_long = with("jti", json!("x".repeat(257)));
    assert_eq!(check(Kind::IdJag, &too_long), Err(BearerError::Jti));
}

#[test]
fn a_pattern_that_matches_nothing_or_is_too_long_is_not_usable() {
    let exact = |value: Value| Pattern::Exact(value).is_usable();
    let longest = "x".repeat(512);
    for text in ["a", "*", &longest] {
        assert!(Pattern::glob(text).is_usable() && exact(json!(text)), "{text}");
    }
    for text in ["", &"x".repeat(513)] {
        assert!(!Pattern::glob(text).is_usable() && !exact(json!(text)), "{text}");
    }
    assert!(exact(json!(true)) && exact(json!(7)));
    assert!(!exact(Value::Null) && !exact(json!(["a"])) && !exact(json!({"a": 1})));
}

#[test]
fn a_workload_needs_neither_jti_nor_iat() {
    let bare = json!({"iss": IDP, "sub": "spiffe://td.example/ns/a", "aud": [SERVER], "exp": NOW.0 + 60, "scope": 5});
    assert_eq!(check(Kind::Workload, &bare), Ok(()));
    assert_eq!(check(Kind::IdJag, &bare), Err(BearerError::Jti));
}

#[test]
fn an_algorithm_that_is_not_listed_or_another_key_proves_nothing() {
    let (es, other) = (
        SigningKey::generate(Algorithm::Es256).unwrap(),
        SigningKey::generate(Algorithm::EdDsa).unwrap(),
    );
    let judge = |signer: &SigningKey, key: &SigningKey| {
        let token = sign(signer, "JWT", &claims()).unwrap();
        let jws = Jws::parse(&token).unwrap();
        verify(
            &jws,
            key.public_jwk(),
            Kind::Workload,
            IDP,
            &terms(),
            &[SERVER],
            NOW,
        )
        .map(drop)
    };
    assert_eq!(judge(&other, &other), Err(BearerError::Algorithm));
    let forged = SigningKey::generate(Algorithm::Es256).unwrap();
    assert_eq!(judge(&forged, &es), Err(BearerError::Signature));
    assert_eq!(es.algorithm(), Algorithm::Es256);
}

/// JWTB-017.
#[test]
fn a_pattern_is_the_whole_value() {
    let exact: Pattern = serde_json::from_value(json!("repo:org/repo:ref:refs/heads/main")).unwrap();
    assert!(exact.matches(&json!("repo:org/repo:ref:refs/heads/main")));
    for other in [
        "repo:org/repo-evil:ref:refs/heads/main",
        "repo:org/repo:ref:refs/heads/main-evil",
        "repo:org/repo:pull_request",
        "repo:Org/repo:ref:refs/heads/main",
        "",
    ] {
        assert!(!exact.matches(&json!(other)), "{other}");
    }
    let glob = Pattern::glob("repo:org/*:ref:refs/heads/*");
    assert!(glob.matches(&json!("repo:org/a:ref:refs/heads/main")));
    for other in [
        "repo:org/a/b:ref:refs/heads/main",
        "repo:org/a:pull_request:ref:refs/heads/main",
        "repo:org/a:ref:refs/heads/x/y",
        "repo:organ/a:ref:refs/heads/main",
        "x-repo:org/a:ref:refs/heads/main",
    ] {
        assert!(!glob.matches(&json!(other)), "{other}");
    }
    assert!(Pattern::glob("repo:org/**").matches(&json!("repo:org/a:ref:refs/heads/x/y")));
    assert!(!Pattern::glob("repo:org/**").matches(&json!("repo:org")));
    assert!(Pattern::glob("a*b*c").matches(&json!("abc")));
    assert!(
        Pattern::glob("ops").matches(&json!(["dev", "ops"])),
        "one of several"
    );
    for none in [
        json!(["dev", "opsy"]),
        json!([]),
        json!([["ops"]]),
        json!({"ops": "ops"}),
    ] {
        assert!(!Pattern::glob("ops").matches(&none), "{none}");
    }
    assert!(!Pattern::glob("*").matches(&json!({"a": 1})));
    let number: Pattern = serde_json::from_value(json!(42)).unwrap();
    assert!(number.matches(&json!(42)) && !number.matches(&json!("42")));
    assert!(Pattern::glob("**").matches_all() && !Pattern::glob("*").matches_all());
}

#[test]
fn a_glob_that_could_backtrack_stays_quick() {
    let hard = Pattern::glob(&format!("{}b", "a*".repeat(200)));
    assert!(!hard.matches(&json!("a".repeat(1024))));
}

#[test]
fn what_several_rules_allow_adds_up_and_the_shortest_lifetime_counts() {
    let kubernetes = json!({"kubernetes.io": {"namespace": "prod"}, "sub": "system:serviceaccount:prod:bot"});
    let kubernetes = kubernetes.as_object().unwrap();
    let mut terms = terms();
    terms.rules = vec![
        rule(json!({"/kubernetes.io/namespace": "prod"}), "read"),
        rule(json!({"sub": {"glob": "system:serviceaccount:prod:*"}}), "write"),
        rule(json!({"sub": "system:serviceaccount:prod:other"}), "admin"),
    ];
    terms.rules[1].token_lifetime = Some(60);
    let allowed = terms.allow(kubernetes, Some("app"), RESOURCE).unwrap();
    assert_eq!(allowed.scopes.to_string(), "read write");
    assert_eq!(allowed.token_lifetime, Some(Duration::from_mins(1)));
    assert_eq!(allowed.rules.len(), 2);
    assert_eq!(terms.allow(kubernetes, Some("other"), RESOURCE), None);
    assert_eq!(terms.allow(kubernetes, Some("app"), "https://mcp.example/"), None);
    assert!(terms.allow(kubernetes, None, RESOURCE).is_some());
    terms.rules.clear();
    assert_eq!(
        terms.allow(kubernetes, Some("app"), RESOURCE),
        None,
        "denied by default"
    );
}

#[test]
fn terms_read_back() {
    let mut terms = terms();
    terms.keys = KeySource::JwksUri("https://idp.example/keys".to_owned());
    terms.rules[0].claims = serde_json::from_value(json!({"a": {"glob": "x*"}, "b": true})).unwrap();
    let text = serde_json::to_string(&terms).unwrap();
    assert_eq!(serde_json::from_str::<Terms>(&text).unwrap(), terms);
}

#[test]
fn a_request_beyond_assertion_or_rules_is_cut_until_nothing_is_left() {
    let set = |text: &str| ScopeSet::parse(text).unwrap();
    let (allowed, defined) = (set("read"), set("read write admin"));
    let narrowed = |asserted: Option<&str>, requested: Option<&str>| {
        narrow(
            &allowed,
            asserted.map(set).as_ref(),
            requested.map(set).as_ref(),
            &defined,
        )
    };
    assert_eq!(narrowed(Some("read write"), None), Ok(set("read")));
    assert_eq!(
        narrowed(Some("read write"), Some("read offline_access")),
        Ok(set("read"))
    );
    assert_eq!(
        narrowed(Some("read"), Some("read write")),
        Ok(set("read")),
        "B.2.7"
    );
    assert_eq!(narrowed(None, None), Ok(set("read")));
    assert_eq!(narrowed(None, Some("read admin")), Ok(set("read")));
    assert_eq!(
        narrowed(Some("read"), Some("write")),
        Err(ScopeRefusal::BeyondAssertion)
    );
    assert_eq!(narrowed(Some("write"), None), Err(ScopeRefusal::NothingLeft));
    assert_eq!(narrowed(None, Some("admin")), Err(ScopeRefusal::NothingLeft));
}

/// Rules add up.
#[test]
fn scopes_that_no_token_carries_are_refused() {
    let many: ScopeSet = (0..=MAX_SCOPES)
        .map(|number| Scope::parse(&number.to_string()).unwrap())
        .collect();
    assert_eq!(narrow(&many, None, None, &many), Err(ScopeRefusal::TooLarge));
    let one = ScopeSet::parse("7").unwrap();
    assert_eq!(narrow(&many, None, Some(&one), &many), Ok(one));
}

fn any_scopes() -> impl Strategy<Value = ScopeSet> {
    proptest::collection::vec(0..6_u8, 0..6).prop_map(|names| {
        names
            .iter()
            .map(|name| Scope::parse(&format!("s{name}")).unwrap())
            .collect()
    })
}

/// The glob, slowly: tries every split.
fn slowly(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', '*', rest @ ..] => (0..=text.len()).any(|split| slowly(rest, &text[split..])),
        ['*', rest @ ..] => (0..=text.len())
            .take_while(|split| !text[..*split].iter().any(|c| matches!(c, '/' | ':')))
            .any(|split| slowly(rest, &text[split..])),
        [first, rest @ ..] => text
            .split_first()
            .is_some_and(|(c, text)| c == first && slowly(rest, text)),
    }
}

proptest! {
    /// JWTB-001, JWTB-023: never more than the assertion, the rules, the request or the resource have.
    #[test]
    fn scopes_only_shrink(
        allowed in any_scopes(), asserted in proptest::option::of(any_scopes()),
        requested in proptest::option::of(any_scopes()), defined in any_scopes(),
    ) {
        if let Ok(scopes) = narrow(&allowed, asserted.as_ref(), requested.as_ref(), &defined) {
            prop_assert!(allowed.contains_all(&scopes) && defined.contains_all(&scopes));
            prop_assert!(asserted.is_none_or(|asserted| asserted.contains_all(&scopes)));
            prop_assert!(requested.is_none_or(|requested| requested.contains_all(&scopes)));
        }
    }

    #[test]
    fn a_glob_matches_what_its_definition_says(pattern in "[ab/*]{0,8}", text in "[ab/:]{0,8}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = slowly(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Pattern::glob(&pattern).matches(&json!(text)), expected);
    }

    #[test]
    fn whatever_an_assertion_holds_it_is_judged(payload in "\\PC{0,60}", typ in proptest::option::of("\\PC{0,20}")) {
        let _ = Kind::of_typ(typ.as_deref());
        let value: Value = serde_json::from_str(&payload).unwrap_or(json!({"iss": payload}));
        let refused = check(Kind::IdJag, &value);
        prop_assert!(refused.is_err());
    }
}
