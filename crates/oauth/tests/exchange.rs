//! Token exchange against a model: whatever clients do one after the other, nothing comes of it that the first grant
//! and the operators did not allow. The decision is the one that the token endpoint asks.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_oauth::claims::{AccessTokenClaims, Actor, Audience, Confirmation};
use doorward_oauth::error::ErrorCode;
use doorward_oauth::exchange::{Caller, ExchangeRules, MAY_ACT_CLAIM, Refusal, Target, depth};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use proptest::prelude::*;
use serde_json::json;

const RESOURCES: [&str; 4] = [
    "https://a.example",
    "https://b.example",
    "https://c.example",
    "https://d.example",
];
const CLIENTS: [&str; 5] = ["app", "agent-1", "agent-2", "agent-3", "stranger"];
const SCOPES: [&str; 5] = ["read", "write", "admin", "search", "offline_access"];
const KEYS: [&str; 2] = ["key-1", "key-2"];
const RULES: ExchangeRules = ExchangeRules {
    max_depth: 4,
    lifetime: Duration::from_mins(5),
};
const BEGIN: UnixSeconds = UnixSeconds(1_800_000_000);

fn scopes(mask: u8) -> ScopeSet {
    let chosen = SCOPES.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    chosen.map(|(_, name)| Scope::parse(name).unwrap()).collect()
}

/// What operators set up.
#[derive(Clone, Debug)]
struct World {
    /// The scopes of each resource.
    scopes: [u8; 4],
    /// Which clients each resource names.
    exchange_clients: [u8; 4],
    /// Which resource each client is.
    is_resource: [Option<usize>; 5],
    confidential: [bool; 5],
    must_be_bound: [bool; 4],
}

/// One exchange that somebody tries.
#[derive(Clone, Debug)]
struct Step {
    /// Which of the tokens so far, counted from the newest.
    token: usize,
    client: usize,
    target: usize,
    requested: Option<u8>,
    key: Option<usize>,
    /// Seconds that pass before.
    wait: u8,
}

#[derive(Clone, Debug)]
struct First {
    scopes: u8,
    audience: usize,
    key: Option<usize>,
    lifetime: u16,
}

fn world() -> impl Strategy<Value = World> {
    (
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        prop::array::uniform5(prop::option::of(0..4_usize)),
        any::<[bool; 5]>(),
        prop::array::uniform4(prop::bool::weighted(0.2)),
    )
        .prop_map(
            |(scopes, exchange_clients, is_resource, confidential, must_be_bound)| World {
                scopes,
                exchange_clients,
                is_resource,
                confidential,
                must_be_bound,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    (
        0..4_usize,
        0..5_usize,
        0..4_usize,
        prop::option::of(any::<u8>()),
        prop::option::of(0..2_usize),
        0..90_u8,
    )
        .prop_map(|(token, client, target, requested, key, wait)| Step {
            token,
            client,
            target,
            requested,
            key,
            wait,
        })
}

fn first() -> impl Strategy<Value = First> {
    (any::<u8>(), 0..4_usize, prop::option::of(0..2_usize), 1..400_u16).prop_map(
        |(scopes, audience, key, lifetime)| First {
            scopes,
            audience,
            key,
            lifetime,
        },
    )
}

/// A token, and what the model knows of how it came to be.
#[derive(Clone, Debug)]
struct Held {
    claims: AccessTokenClaims,
    /// Who exchanged, the latest first.
    actors: Vec<&'static str>,
    /// The audiences on the way, its own included.
    way: Vec<usize>,
}

fn issued(first: &First) -> Held {
    let claims = AccessTokenClaims {
        iss: "https://as.example".to_owned(),
        sub: "person".to_owned(),
        aud: Audience::from(RESOURCES[first.audience]),
        client_id: CLIENTS[0].to_owned(),
        scope: Some(scopes(first.scopes)),
        jti: "first".to_owned(),
        iat: BEGIN,
        exp: BEGIN + Duration::from_secs(first.lifetime.into()),
        nbf: None,
        gid: Some("grant".to_owned()),
        cnf: first.key.map(|key| Confirmation {
            jkt: KEYS[key].to_owned(),
        }),
        act: None,
        auth_time: None,
        amr: None,
        extra: serde_json::Map::new(),
    };
    Held {
        claims,
        actors: Vec::new(),
        way: vec![first.audience],
    }
}

fn attempt(world: &World, held: &Held, step: &Step, now: UnixSeconds) -> Result<Held, Refusal> {
    let exchange_clients: Vec<String> = CLIENTS
        .iter()
        .enumerate()
        .filter(|(bit, _)| world.exchange_clients[step.target] >> bit & 1 == 1)
        .map(|(_, client)| (*client).to_owned())
        .collect();
    let target_scopes = scopes(world.scopes[step.target]);
    let client = CLIENTS[step.client];
    let exchanged = RULES.decide(
        &held.claims,
        &held.claims.scopes(),
        &Caller {
            client_id: client,
            is_confidential: world.confidential[step.client],
            resource: world.is_resource[step.client].map(|resource| RESOURCES[resource]),
            key_thumbprint: step.key.map(|key| KEYS[key]),
        },
        &Target {
            resource: RESOURCES[step.target],
            scopes: &target_scopes,
            exchange_clients: &exchange_clients,
            must_be_bound: world.must_be_bound[step.target],
        },
        step.requested.map(scopes).as_ref(),
        now,
    )?;
    Ok(Held {
        claims: AccessTokenClaims {
            aud: Audience::from(exchanged.resource),
            client_id: client.to_owned(),
            scope: Some(exchanged.scopes),
            iat: now,
            exp: exchanged.expires_at,
            cnf: exchanged.key_thumbprint.map(|jkt| Confirmation { jkt }),
            act: Some(exchanged.actor),
            ..held.claims.clone()
        },
        actors: [&[client], held.actors.as_slice()].concat(),
        way: [held.way.as_slice(), &[step.target]].concat(),
    })
}

fn chain(mut actor: Option<&Actor>) -> Vec<String> {
    let mut chain = Vec::new();
    while let Some(next) = actor {
        chain.push(next.sub.clone());
        actor = next.act.as_deref();
    }
    chain
}

/// Everything that the first grant and the operators allow, said without a look at the rules.
fn check(world: &World, first: &First, parent: &Held, child: &Held, step: &Step, now: UnixSeconds) {
    let origin = issued(first).claims;
    let claims = &child.claims;
    let held: BTreeSet<String> = claims.scopes().iter().map(ToString::to_string).collect();
    for scope in &held {
        assert!(origin.scopes().contains(scope), "the first grant has no {scope}");
        assert!(
            parent.claims.scopes().contains(scope),
            "the parent has no {scope}"
        );
        for resource in &child.way[1..] {
            assert!(
                scopes(world.scopes[*resource]).contains(scope),
                "{scope} came back"
            );
        }
        assert_ne!(scope, "offline_access");
        if let Some(requested) = step.requested {
            assert!(scopes(requested).contains(scope), "nobody asked for {scope}");
        }
    }
    assert_eq!((&claims.sub, &claims.gid), (&origin.sub, &origin.gid));
    assert!(claims.exp <= origin.exp && claims.exp <= parent.claims.exp && now < claims.exp);
    assert!(claims.exp <= now + RULES.lifetime);
    // The audience: where the token was, or where the operator of the target names the client.
    let named = world.exchange_clients[step.target] >> step.client & 1 == 1;
    assert!(claims.aud.iter().eq([RESOURCES[step.target]]));
    assert!(named || parent.claims.aud.contains(RESOURCES[step.target]));
    let is_audience = world.is_resource[step.client]
        .is_some_and(|resource| parent.claims.aud.contains(RESOURCES[resource]));
    assert!(named || is_audience || parent.claims.client_id == CLIENTS[step.client]);
    assert!(world.confidential[step.client]);
    // The actors: those who exchanged, in that order, and nobody else.
    assert_eq!(chain(claims.act.as_ref()), child.actors);
    assert_eq!(depth(claims.act.as_ref()), child.actors.len());
    assert!(child.actors.len() <= RULES.max_depth);
    assert_eq!(
        claims.act.as_ref().unwrap().act.as_deref(),
        parent.claims.act.as_ref()
    );
    // The key: bound stays bound, to the key that was proven.
    let proven = step.key.map(|key| KEYS[key]);
    let bound = |claims: &AccessTokenClaims| claims.cnf.as_ref().map(|cnf| cnf.jkt.clone());
    assert_eq!(bound(claims).as_deref(), proven);
    assert!(bound(&parent.claims).is_none() || bound(&parent.claims) == bound(claims));
    assert!(!world.must_be_bound[step.target] || proven.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// At least 10 000 sequences.
    #[test]
    fn no_sequence_of_exchanges_gives_what_the_first_grant_did_not_allow(
        world in world(), first in first(), steps in prop::collection::vec(step(), 1..12)
    ) {
        let mut tokens = vec![issued(&first)];
        let mut now = BEGIN;
        for step in &steps {
            now = now + Duration::from_secs(step.wait.into());
            let parent = tokens[tokens.len() - 1 - step.token % tokens.len()].clone();
            if let Ok(child) = attempt(&world, &parent, step, now) {
                check(&world, &first, &parent, &child, step, now);
                tokens.push(child);
            }
        }
    }
}

/// The model is no proof while nothing ever works: a world in which everything is allowed lets chains grow to the end.
#[test]
fn in_an_open_world_chains_grow_to_the_limit() {
    let world = World {
        scopes: [0b1111; 4],
        exchange_clients: [0xff; 4],
        is_resource: [None; 5],
        confidential: [true; 5],
        must_be_bound: [false; 4],
    };
    let mut held = issued(&First {
        scopes: 0b0011,
        audience: 0,
        key: None,
        lifetime: 300,
    });
    for client in 1..=RULES.max_depth {
        let step = Step {
            token: 0,
            client: client % CLIENTS.len(),
            target: client % RESOURCES.len(),
            requested: None,
            key: None,
            wait: 0,
        };
        held = attempt(&world, &held, &step, BEGIN).unwrap();
        assert_eq!(held.claims.scopes(), scopes(0b0011));
    }
    let step = Step {
        token: 0,
        client: 0,
        target: 0,
        requested: None,
        key: None,
        wait: 0,
    };
    assert_eq!(
        attempt(&world, &held, &step, BEGIN).unwrap_err(),
        Refusal::ChainTooLong
    );
}

/// Every rule by itself, and what holds when nothing is wrong.
#[test]
fn each_refusal_has_its_reason() {
    let first = First {
        scopes: 0b11,
        audience: 0,
        key: Some(0),
        lifetime: 300,
    };
    let world = World {
        scopes: [0b11; 4],
        exchange_clients: [0, 0b10, 0, 0],
        is_resource: [None, None, Some(0), None, None],
        confidential: [true; 5],
        must_be_bound: [false; 4],
    };
    let step = |client: usize, target: usize, key: Option<usize>| Step {
        token: 0,
        client,
        target,
        requested: None,
        key,
        wait: 0,
    };
    let decided = |first: &First, world: &World, step: &Step| {
        attempt(world, &issued(first), step, BEGIN).map(|held| held.claims.cnf.map(|cnf| cnf.jkt))
    };
    let bound = Ok(Some(KEYS[0].to_owned()));
    // The client itself, and the resource, for the audience that the token has; whom another resource names.
    for (client, target) in [(0, 0), (2, 0), (1, 1)] {
        assert_eq!(decided(&first, &world, &step(client, target, Some(0))), bound);
    }
    for (client, target, refusal) in [
        (1, 0, Refusal::NotEntitled),
        (4, 0, Refusal::NotEntitled),
        (0, 1, Refusal::TargetNotAllowed),
        (2, 1, Refusal::TargetNotAllowed),
        (1, 2, Refusal::TargetNotAllowed),
    ] {
        let outcome = decided(&first, &world, &step(client, target, Some(0)));
        assert_eq!(outcome, Err(refusal), "{client} {target}");
    }
    for key in [None, Some(1)] {
        let outcome = decided(&first, &world, &step(0, 0, key));
        assert_eq!(outcome, Err(Refusal::WrongKey), "{key:?}");
    }
    let unbound = First {
        key: None,
        ..first.clone()
    };
    assert_eq!(decided(&unbound, &world, &step(0, 0, None)), Ok(None));
    assert_eq!(decided(&unbound, &world, &step(0, 0, Some(0))), bound);
    let strict = World {
        must_be_bound: [true; 4],
        ..world.clone()
    };
    assert_eq!(
        decided(&unbound, &strict, &step(0, 0, None)),
        Err(Refusal::KeyNeeded)
    );
    assert_eq!(decided(&unbound, &strict, &step(0, 0, Some(0))), bound);
    let asking = |requested: u8| Step {
        requested: Some(requested),
        ..step(0, 0, Some(0))
    };
    assert_eq!(decided(&first, &world, &asking(0b1)), bound);
    assert_eq!(
        decided(&first, &world, &asking(0b101)),
        Err(Refusal::ScopeNotHeld)
    );
    let elsewhere = World {
        scopes: [0b100; 4],
        ..world.clone()
    };
    assert_eq!(
        decided(&first, &elsewhere, &step(0, 0, Some(0))),
        Err(Refusal::NoScopeLeft)
    );
    let without_scopes = World {
        scopes: [0; 4],
        ..world.clone()
    };
    let nothing = First { scopes: 0, ..first };
    assert_eq!(decided(&nothing, &without_scopes, &step(0, 0, Some(0))), bound);
}

fn with_may_act(may_act: serde_json::Value) -> Result<(), Refusal> {
    let mut held = issued(&First {
        scopes: 1,
        audience: 0,
        key: None,
        lifetime: 300,
    });
    held.claims.extra.insert(MAY_ACT_CLAIM.to_owned(), may_act);
    let scopes = scopes(1);
    let caller = Caller {
        client_id: "agent-1",
        is_confidential: true,
        resource: None,
        key_thumbprint: None,
    };
    let target = Target {
        resource: RESOURCES[0],
        scopes: &scopes,
        exchange_clients: &["agent-1".to_owned()],
        must_be_bound: false,
    };
    RULES
        .decide(&held.claims, &scopes, &caller, &target, None, BEGIN)
        .map(drop)
}

/// RFC 8693 §4.4.
#[test]
fn may_act_is_honoured() {
    for may_act in [
        json!({"sub": "agent-1"}),
        json!({"client_id": "agent-1"}),
        json!({"sub": "x", "client_id": "agent-1"}),
        json!({"sub": "agent-1", "iss": "https://as.example"}),
    ] {
        assert_eq!(with_may_act(may_act.clone()), Ok(()), "{may_act}");
    }
    for may_act in [
        json!({"sub": "agent-2"}),
        json!({"sub": "agent-1", "iss": "https://evil.example"}),
        json!({"sub": "agent-1", "client_id": "agent-2"}),
        json!({"sub": ["agent-1"]}),
        json!({}),
        json!("agent-1"),
        json!(null),
    ] {
        assert_eq!(
            with_may_act(may_act.clone()),
            Err(Refusal::NotTheActor),
            "{may_act}"
        );
    }
}

#[test]
fn every_refusal_has_a_word_a_code_and_a_sentence() {
    let all = [
        (Refusal::PublicClient, ErrorCode::UnauthorizedClient),
        (Refusal::Expired, ErrorCode::InvalidRequest),
        (Refusal::NotTheActor, ErrorCode::InvalidRequest),
        (Refusal::TargetNotAllowed, ErrorCode::InvalidTarget),
        (Refusal::NotEntitled, ErrorCode::InvalidRequest),
        (Refusal::ChainTooLong, ErrorCode::InvalidRequest),
        (Refusal::SignInTooOld, ErrorCode::InvalidRequest),
        (Refusal::WrongKey, ErrorCode::InvalidDpopProof),
        (Refusal::KeyNeeded, ErrorCode::InvalidDpopProof),
        (Refusal::ScopeNotHeld, ErrorCode::InvalidScope),
        (Refusal::NoScopeLeft, ErrorCode::InvalidScope),
    ];
    let words: BTreeSet<_> = all.iter().map(|(refusal, _)| refusal.as_str()).collect();
    assert_eq!(words.len(), all.len());
    for (refusal, code) in all {
        assert_eq!(refusal.code(), code);
        assert!(refusal.to_string().ends_with('.') && refusal.to_string().len() > 30);
    }
}
