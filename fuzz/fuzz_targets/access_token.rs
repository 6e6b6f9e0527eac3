//! Any bytes as the payload of a token with a good signature: the guard's reader and the claims of RFC 9068 as the server
//! writes them agree, and what is accepted is for this resource and not over.
#![no_main]

use std::cell::RefCell;

use doorward_fuzz::keys::signed;
use doorward_fuzz::world::{ISSUER, NOW, RESOURCE, World};
use doorward_guard::Claims;
use doorward_guard::verifiers::JwtVerifier;
use doorward_jose::json;
use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::time::{ManualClock, UnixSeconds};
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// How far clocks may be apart.
const SKEW: i64 = 60;

struct Fixture {
    world: World,
    header: String,
    any_jwt: JwtVerifier,
}

impl Fixture {
    fn new() -> Self {
        let world = World::new(|builder| builder.token_cache(0));
        let key = world.key.public_jwk();
        let any_jwt = JwtVerifier::builder()
            .public_key(serde_json::to_string(key).expect("a key serialises"))
            .audience(RESOURCE)
            .algorithms([doorward_guard::Algorithm::EdDsa])
            .clock(std::sync::Arc::new(ManualClock::new(UnixSeconds(NOW))))
            .token_cache(0)
            .build()
            .expect("good settings");
        Self {
            header: serde_json::json!({
                "typ": "at+jwt", "alg": "EdDSA", "kid": key.key_id(),
            })
            .to_string(),
            world,
            any_jwt,
        }
    }
}

/// Whether a guard must accept these claims.
fn is_good(claims: &AccessTokenClaims) -> bool {
    let said = [&claims.sub, &claims.client_id, &claims.jti];
    said.iter().all(|text| !text.is_empty())
        && claims.iss == ISSUER
        && claims.aud.contains(RESOURCE)
        && claims.exp.0.saturating_add(SKEW) > NOW
        && claims.iat.0 <= NOW + SKEW
        && claims.nbf.is_none_or(|begin| begin.0 <= NOW + SKEW)
        && claims.cnf.is_none()
}

fn assert_same(read: &Claims, written: &AccessTokenClaims) {
    assert_eq!(read.issuer, written.iss);
    assert_eq!(read.subject, written.sub);
    assert_eq!(read.client_id, written.client_id);
    assert_eq!(read.scopes, written.scopes());
    assert_eq!(read.jti, written.jti);
    assert_eq!(read.grant_id, written.gid);
    assert_eq!(read.expires_at, written.exp);
    assert_eq!(read.issued_at, written.iat);
    assert_eq!(read.not_before, written.nbf);
    assert_eq!(read.auth_time, written.auth_time);
    assert_eq!(read.actor, written.act);
    assert!(read.audience.iter().map(String::as_str).eq(written.aud.iter()));
}

thread_local! {
    static FIXTURE: RefCell<Fixture> = RefCell::new(Fixture::new());
}

fuzz_target!(|payload: &[u8]| {
    FIXTURE.with_borrow(|fixture| {
        let world = &fixture.world;
        let token = signed(&world.key, fixture.header.as_bytes(), payload);
        if token.len() > doorward_jose::MAX_JWS_BYTES {
            return;
        }
        let read = world.runtime.block_on(world.guard.verify(&token)).ok();
        let written = json::from_slice::<AccessTokenClaims>(payload).ok();
        match (&read, &written) {
            (Some(read), Some(written)) => {
                assert!(is_good(written));
                assert_same(read, written);
                let again = serde_json::to_vec(written).expect("claims serialise");
                assert_eq!(json::from_slice(&again).as_ref(), Ok(written));
            }
            (Some(_), None) => panic!("the guard accepts what is no RFC 9068 claims set"),
            (None, Some(written)) => assert!(!is_good(written), "the guard refuses a good token"),
            (None, None) => {}
        }
        let any = fixture
            .any_jwt
            .verify(&token)
            .now_or_never()
            .expect("the key is known");
        // A verifier of any JWT reads two members more, and their types must be right.
        let reads_more =
            |claims: &AccessTokenClaims| ["scp", "azp"].iter().any(|name| claims.extra.contains_key(*name));
        assert!(
            read.is_none() || any.is_ok() || written.as_ref().is_some_and(reads_more),
            "what is good for a guard is good for a verifier"
        );
        if let Ok(claims) = any {
            let ordinary: Value = serde_json::from_slice(payload).expect("the strict reader takes a subset");
            assert!(claims.audience.iter().any(|named| named == RESOURCE));
            assert!(claims.expires_at.0.saturating_add(SKEW) > NOW);
            assert!(claims.subject.is_empty() || ordinary["sub"] == *claims.subject);
            assert!(ordinary.get("cnf").is_none() || claims.key_thumbprint.is_some());
        }
    });
});
