//! Identity assertions for other servers: who gets one, and what it holds.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use doorward_oauth::claims::{AccessTokenClaims, Actor, Audience};
use doorward_oauth::error::ErrorCode;
use doorward_oauth::exchange::{Caller, MAY_ACT_CLAIM, Refusal};
use doorward_oauth::id_jag::{Allowed, AudienceRule, AudienceTerms, Shown, Wanted};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use proptest::prelude::*;
use serde_json::json;

const CHAT: &str = "https://chat.example/mcp";
const WIKI: &str = "https://wiki.example/mcp";
const NOTES: &str = "https://notes.example/mcp";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn set(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

fn rule(client_id: &str, resource: &str, scopes: &str) -> AudienceRule {
    AudienceRule {
        name: format!("{client_id} to {resource}"),
        client_ids: vec![client_id.to_owned()],
        resource: resource.to_owned(),
        scopes: set(scopes),
    }
}

fn terms(rules: Vec<AudienceRule>) -> AudienceTerms {
    AudienceTerms {
        lifetime: 300,
        person_claims: Vec::new(),
        client_names: BTreeMap::from([("app".to_owned(), "app-over-there".to_owned())]),
        rules,
    }
}

fn token(client_id: &str) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: "https://as.example".to_owned(),
        sub: "ada".to_owned(),
        aud: Audience::from(NOTES),
        client_id: client_id.to_owned(),
        scope: Some(set("notes:read")),
        jti: "t1".to_owned(),
        iat: NOW,
        exp: NOW + Duration::from_mins(4),
        nbf: None,
        gid: None,
        cnf: None,
        act: None,
        auth_time: None,
        amr: None,
        extra: serde_json::Map::new(),
    }
}

fn shown(claims: &AccessTokenClaims) -> Shown<'_> {
    Shown {
        signed_in_here: true,
        client_id: &claims.client_id,
        claims: Some(claims),
        key_thumbprint: None,
        expires_at: claims.exp,
    }
}

fn caller(client_id: &str) -> Caller<'_> {
    Caller {
        client_id,
        is_confidential: true,
        resource: None,
        key_thumbprint: None,
    }
}

const ANYTHING: Wanted<'_> = Wanted {
    resource: None,
    scope: None,
};

fn decide(terms: &AudienceTerms, shown: &Shown<'_>, caller: &Caller<'_>) -> Result<Allowed, Refusal> {
    terms.decide(shown, caller, ANYTHING, 3, NOW)
}

#[test]
fn a_client_that_a_rule_names_gets_an_assertion_by_its_other_name() {
    let claims = token("app");
    let allowed = decide(
        &terms(vec![rule("app", CHAT, "chat.read")]),
        &shown(&claims),
        &caller("app"),
    );
    assert_eq!(
        allowed.unwrap(),
        Allowed {
            client_id: "app-over-there".to_owned(),
            resource: CHAT.to_owned(),
            scopes: set("chat.read"),
            expires_at: claims.exp,
            actor: None,
            key_thumbprint: None,
            rules: vec![format!("app to {CHAT}")],
        }
    );
    let mut longer = token("app");
    longer.exp = NOW + Duration::from_hours(1);
    let mut generous = terms(vec![rule("*", CHAT, "chat.read")]);
    generous.lifetime = 86_400;
    let allowed = decide(&generous, &shown(&longer), &caller("app")).unwrap();
    assert_eq!(
        allowed.expires_at,
        NOW + Duration::from_mins(5),
        "five minutes at most"
    );
}

#[test]
fn without_a_rule_nobody_gets_one() {
    let claims = token("app");
    for rules in [
        vec![],
        vec![rule("other", CHAT, "chat.read")],
        vec![rule("App", CHAT, "chat.read")],
    ] {
        let refused = decide(&terms(rules), &shown(&claims), &caller("app")).unwrap_err();
        assert_eq!(refused, Refusal::AudienceNotAllowed);
        assert_eq!(refused.code(), ErrorCode::InvalidTarget);
    }
}

#[test]
fn one_resource_is_meant() {
    let claims = token("app");
    let terms = terms(vec![
        rule("app", CHAT, "read"),
        rule("app", CHAT, "write"),
        rule("app", WIKI, "read"),
        rule("other", NOTES, "read"),
    ]);
    let ask = |resource: Option<&str>| {
        let wanted = Wanted {
            resource,
            scope: None,
        };
        terms.decide(&shown(&claims), &caller("app"), wanted, 3, NOW)
    };
    assert_eq!(ask(None), Err(Refusal::ResourceNeeded));
    assert_eq!(ask(Some(CHAT)).unwrap().scopes, set("read write"));
    assert_eq!(ask(Some("https://CHAT.example:443/mcp")).unwrap().resource, CHAT);
    for not_allowed in [
        NOTES,
        "https://chat.example/mcp/",
        "",
        "https://chat.example/mcp#f",
    ] {
        assert_eq!(
            ask(Some(not_allowed)),
            Err(Refusal::AudienceNotAllowed),
            "{not_allowed}"
        );
    }
}

#[test]
fn a_token_of_others_is_worth_nothing_but_to_its_audience() {
    let claims = token("app");
    let terms = terms(vec![rule("*", CHAT, "read")]);
    assert_eq!(
        decide(&terms, &shown(&claims), &caller("thief")),
        Err(Refusal::NotEntitled)
    );
    let server = |resource| Caller {
        resource: Some(resource),
        ..caller("server")
    };
    assert_eq!(
        decide(&terms, &shown(&claims), &server(WIKI)),
        Err(Refusal::NotEntitled)
    );
    let allowed = decide(&terms, &shown(&claims), &server(NOTES)).unwrap();
    assert_eq!(allowed.actor.unwrap().sub, "server");
    let refresh = Shown {
        claims: None,
        ..shown(&claims)
    };
    assert_eq!(
        decide(&terms, &refresh, &server(NOTES)),
        Err(Refusal::NotEntitled)
    );
    assert_eq!(decide(&terms, &refresh, &caller("app")).unwrap().actor, None);
}

#[test]
fn who_acted_before_stays_in_the_chain() {
    let terms = terms(vec![rule("*", CHAT, "read")]);
    let actor = |sub: &str, act: Option<Actor>| Actor {
        sub: sub.to_owned(),
        iss: None,
        client_id: None,
        act: act.map(Box::new),
        extra: serde_json::Map::new(),
    };
    let mut claims = token("second");
    claims.act = Some(actor("second", Some(actor("first", None))));
    let allowed = decide(&terms, &shown(&claims), &caller("second")).unwrap();
    assert_eq!(allowed.actor, Some(actor("second", claims.act.clone())));
    let refused = terms.decide(&shown(&claims), &caller("second"), ANYTHING, 2, NOW);
    assert_eq!(refused, Err(Refusal::ChainTooLong));
    claims.act = None;
    claims
        .extra
        .insert(MAY_ACT_CLAIM.to_owned(), json!({"sub": "third"}));
    assert_eq!(
        decide(&terms, &shown(&claims), &caller("second")),
        Err(Refusal::NotTheActor)
    );
}

#[test]
fn only_people_who_signed_in_here_are_vouched_for() {
    let claims = token("app");
    let terms = terms(vec![rule("*", CHAT, "read")]);
    let by_others = Shown {
        signed_in_here: false,
        ..shown(&claims)
    };
    assert_eq!(
        decide(&terms, &by_others, &caller("app")),
        Err(Refusal::NotSignedInHere)
    );
    let public = Caller {
        is_confidential: false,
        ..caller("app")
    };
    assert_eq!(
        decide(&terms, &shown(&claims), &public),
        Err(Refusal::PublicClient)
    );
    let late = terms.decide(&shown(&claims), &caller("app"), ANYTHING, 3, claims.exp);
    assert_eq!(late, Err(Refusal::Expired));
}

#[test]
fn a_bound_token_needs_its_key_and_the_assertion_is_bound_too() {
    let claims = token("app");
    let terms = terms(vec![rule("*", CHAT, "read")]);
    let bound = Shown {
        key_thumbprint: Some("k1"),
        ..shown(&claims)
    };
    let with = |key| Caller {
        key_thumbprint: key,
        ..caller("app")
    };
    for key in [None, Some("k2")] {
        assert_eq!(decide(&terms, &bound, &with(key)), Err(Refusal::WrongKey));
    }
    for shown in [bound, shown(&claims)] {
        let allowed = decide(&terms, &shown, &with(Some("k1"))).unwrap();
        assert_eq!(allowed.key_thumbprint.as_deref(), Some("k1"));
    }
}

fn any_scopes() -> impl Strategy<Value = ScopeSet> {
    proptest::collection::vec(0..6_u8, 0..6).prop_map(|names| {
        let names = names
            .iter()
            .map(|name| Scope::parse(&format!("s{name}")).unwrap());
        names.collect()
    })
}

/// Rules add up.
#[test]
fn scopes_that_no_assertion_carries_are_refused() {
    let scopes = |numbers: std::ops::Range<usize>| -> ScopeSet {
        numbers
            .map(|number| Scope::parse(&number.to_string()).unwrap())
            .collect()
    };
    let with = |numbers| AudienceRule {
        scopes: scopes(numbers),
        ..rule("app", CHAT, "x")
    };
    let terms = terms(vec![with(0..150), with(150..250)]);
    let claims = token("app");
    let decide = |scope: Option<&ScopeSet>| {
        let wanted = Wanted {
            resource: Some(CHAT),
            scope,
        };
        terms
            .decide(&shown(&claims), &caller("app"), wanted, 3, NOW)
            .map(|jag| jag.scopes)
    };
    assert_eq!(decide(None), Err(Refusal::TooManyScopes));
    let some = scopes(100..200);
    assert_eq!(decide(Some(&some)), Ok(some.clone()));
}

proptest! {
    /// Never more than the rules of this client and this resource have, nor than was asked for.
    #[test]
    fn scopes_are_what_request_and_rules_have_in_common(
        one in any_scopes(), two in any_scopes(), other in any_scopes(),
        requested in proptest::option::of(any_scopes()),
    ) {
        let with = |scopes: &ScopeSet, client_id, resource| AudienceRule {
            scopes: scopes.clone(),
            ..rule(client_id, resource, "x")
        };
        let terms = terms(vec![with(&one, "app", CHAT), with(&two, "*", CHAT), with(&other, "app", WIKI), with(&other, "else", CHAT)]);
        let claims = token("app");
        let wanted = Wanted { resource: Some(CHAT), scope: requested.as_ref() };
        let allowed = one.union(&two);
        match terms.decide(&shown(&claims), &caller("app"), wanted, 3, NOW) {
            Ok(jag) => {
                prop_assert!(allowed.contains_all(&jag.scopes));
                prop_assert!(requested.is_none_or(|requested| requested.contains_all(&jag.scopes)));
            }
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::NoScopeAllowed);
                prop_assert!(requested.unwrap().intersection(&allowed).is_empty());
            }
        }
    }
}
