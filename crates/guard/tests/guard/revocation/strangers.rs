//! Tokens that a verifier of one's own accepts and whose `iss` is none of the guard's issuers, or missing.

use std::time::Duration;

use doorward_guard::client::ClientAuth;
use doorward_guard::verifiers::StaticTokenVerifier;
use doorward_guard::{
    Fail, FetchFailure, GuardBuilder, IntrospectionPolicy, Revocation, ScopeSet, TokenClaims, WhileBlind,
};
use http::StatusCode;

use super::feed::feed;
use super::support::{assert_revoked, assert_unavailable, revoked, world_of};
use crate::support::{ISSUER, pass};

const SECOND: &str = "https://second.example";
/// By name of the token: what it has for an `iss`.
const TOKENS: [(&str, &str); 3] = [
    ("of-the-issuer-itself", ISSUER),
    ("of-another-spelling", "https://as.example/"),
    ("without-an-issuer", ""),
];

/// A guard that takes the tokens above, and one of the second issuer.
fn accepting(builder: GuardBuilder, revocation: Revocation) -> GuardBuilder {
    let second = ("of-the-second", SECOND);
    let tokens = TOKENS.into_iter().chain([second]).map(|(token, issuer)| {
        let mut claims = TokenClaims::new(issuer, "alice", "client-1", TokenClaims::NEVER);
        claims.scopes = ScopeSet::parse("mcp:read").unwrap();
        token.clone_into(&mut claims.jti);
        claims.grant_id = Some(format!("grant-{token}"));
        (token, claims)
    });
    builder
        .verifier(StaticTokenVerifier::new(tokens).unwrap())
        .client_auth(ClientAuth::basic("guard", "secret"))
        .revocation(revocation)
}

#[tokio::test(start_paused = true)]
async fn the_only_issuer_is_asked_about_whatever_the_verifier_accepts() {
    let (world, endpoints) = world_of(|builder| accepting(builder, Revocation::introspection()));
    for (token, _) in TOKENS {
        endpoints.answer([Err(FetchFailure::new("no answer"))]);
        assert_unavailable(&world, token).await;
    }
    pass(31).await;
    for (token, _) in TOKENS {
        endpoints.active(true);
        assert_eq!(world.ping(token).await, StatusCode::OK, "{token}");
        pass(11).await;
        endpoints.active(false);
        assert_revoked(&world, token).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_of_the_only_issuer_speaks_for_whatever_the_verifier_accepts() {
    let refusing = feed(|policy| policy.while_blind = WhileBlind::Refuse);
    let (world, endpoints) = world_of(|builder| accepting(builder, refusing));
    world.guard.start();
    pass(1).await;
    for (position, (token, _)) in (1..).zip(TOKENS) {
        assert_eq!(world.ping(token).await, StatusCode::OK, "{token}");
        endpoints.send(revoked(&world, position, "gid", &format!("grant-{token}")));
        pass(1).await;
        assert_revoked(&world, token).await;
    }
    let refusing = feed(|policy| {
        policy.while_blind = WhileBlind::Refuse;
        policy.blind_after = Duration::from_secs(5);
    });
    let (blind, endpoints) = world_of(|builder| accepting(builder, refusing));
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    blind.guard.start();
    pass(31).await;
    for (token, _) in TOKENS {
        assert_unavailable(&blind, token).await;
    }
}

/// To show a token to an issuer that did not issue it would be to hand it out, and its "not active" would say nothing.
#[tokio::test(start_paused = true)]
async fn of_several_issuers_none_is_shown_a_strangers_token_and_it_does_not_pass() {
    let open = IntrospectionPolicy::default().fail(Fail::Open);
    for revocation in [
        Revocation::introspection(),
        Revocation::Introspection(open),
        Revocation::feed(),
    ] {
        let (world, endpoints) = world_of(|builder| accepting(builder, revocation).issuer(SECOND));
        endpoints.active(true);
        world.guard.start();
        pass(1).await;
        for (token, issuer) in TOKENS {
            if issuer == ISSUER {
                assert_eq!(world.ping(token).await, StatusCode::OK);
            } else {
                assert_unavailable(&world, token).await;
            }
        }
        let asked = endpoints.forms();
        assert!(
            asked
                .iter()
                .all(|form| form.contains("token=of-the-issuer-itself")),
            "{asked:?}"
        );
        // Named, and without credentials: on purpose.
        assert_eq!(world.ping("of-the-second").await, StatusCode::OK);
    }
}
