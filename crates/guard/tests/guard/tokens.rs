//! The battery of tokens: one good control, everything else is refused.

use doorward_guard::{Algorithm, Rejection, VerifyError};
use doorward_jose::{SigningKey, base64url, sign};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Behaviour, ISSUER, JWKS, RESOURCE, World, raw_token};

async fn verdict(world: &World, token: &str) -> Result<(), Rejection> {
    let rejection = |error| match error {
        VerifyError::Rejected(rejection) => Some(rejection),
        _ => None,
    };
    world
        .guard
        .verify(token)
        .await
        .map(|_| ())
        .map_err(|error| rejection(error).unwrap())
}

/// RS-010, RS-014, RS-017, rows 12 to 17 and 24.
#[tokio::test(start_paused = true)]
async fn every_claim_is_checked() {
    let world = World::new();
    let now = world.now();
    let rows: Vec<(Value, Result<(), Rejection>)> = vec![
        (json!({}), Ok(())),
        (json!({"aud": [RESOURCE, "https://other.example"]}), Ok(())),
        (json!({"scope": null}), Ok(())),
        (json!({"iss": null}), Err(Rejection::Issuer)),
        (json!({"iss": "https://other.example"}), Err(Rejection::Issuer)),
        (json!({"iss": "https://as.example/"}), Err(Rejection::Issuer)),
        (json!({"iss": "http://as.example"}), Err(Rejection::Issuer)),
        (json!({"iss": "https://AS.example"}), Err(Rejection::Issuer)),
        (json!({"iss": [ISSUER]}), Err(Rejection::Issuer)),
        (
            json!({"iss": "https://as.example@evil.example"}),
            Err(Rejection::Issuer),
        ),
        (json!({"aud": null}), Err(Rejection::Claims)),
        (json!({"aud": []}), Err(Rejection::Claims)),
        (
            json!({"aud": "https://mcp.example/mcp/"}),
            Err(Rejection::Audience),
        ),
        (json!({"aud": "https://mcp.example"}), Err(Rejection::Audience)),
        (
            json!({"aud": "https://mcp.example/mcp/x"}),
            Err(Rejection::Audience),
        ),
        (json!({"aud": "client-1"}), Err(Rejection::Audience)),
        (json!({"aud": {"x": RESOURCE}}), Err(Rejection::Claims)),
        (json!({"sub": null}), Err(Rejection::Claims)),
        (json!({"sub": ""}), Err(Rejection::Claims)),
        (json!({"sub": 7}), Err(Rejection::Claims)),
        (json!({"client_id": null}), Err(Rejection::Claims)),
        (json!({"client_id": ""}), Err(Rejection::Claims)),
        (json!({"jti": null}), Err(Rejection::Claims)),
        (json!({"iat": null}), Err(Rejection::Claims)),
        (json!({"exp": null}), Err(Rejection::Claims)),
        (json!({"exp": (now + 300).to_string()}), Err(Rejection::Claims)),
        (json!({"exp": [now + 300]}), Err(Rejection::Claims)),
        (json!({"exp": 1e300}), Err(Rejection::Claims)),
        (json!({"exp": -1}), Err(Rejection::Expired)),
        (json!({"nbf": "tomorrow"}), Err(Rejection::Claims)),
        (json!({"scope": ["mcp:read"]}), Err(Rejection::Claims)),
        (json!({"amr": ["pwd"]}), Ok(())),
        (json!({"amr": ["pwd", 7]}), Err(Rejection::Claims)),
        (json!({"amr": "pwd"}), Err(Rejection::Claims)),
        (json!({"cnf": {"jkt": "x"}}), Err(Rejection::SenderConstrained)),
        (json!({"cnf": {"x5t#S256": "x"}}), Err(Rejection::Claims)),
    ];
    for (changes, expected) in rows {
        assert_eq!(
            verdict(&world, &world.token_with(&changes)).await,
            expected,
            "{changes}"
        );
    }
}

/// RS-013: 60 s, to the second, and not twice.
#[tokio::test(start_paused = true)]
async fn clocks_may_be_a_minute_apart() {
    let world = World::new();
    let now = world.now();
    for (changes, expected) in [
        (json!({"exp": now - 59}), Ok(())),
        (json!({"exp": now - 60}), Err(Rejection::Expired)),
        (json!({"nbf": now + 60}), Ok(())),
        (json!({"nbf": now + 61}), Err(Rejection::NotYetValid)),
        (json!({"iat": now + 60}), Ok(())),
        (json!({"iat": now + 61}), Err(Rejection::IssuedInFuture)),
    ] {
        assert_eq!(
            verdict(&world, &world.token_with(&changes)).await,
            expected,
            "{changes}"
        );
    }
    let strict = World::with(|builder| builder.clock_skew(std::time::Duration::ZERO));
    assert_eq!(
        verdict(&strict, &strict.token_with(&json!({"exp": now}))).await,
        Err(Rejection::Expired)
    );
    assert_eq!(
        verdict(&strict, &strict.token_with(&json!({"exp": now + 1}))).await,
        Ok(())
    );
}

/// RS-017: only `scope` holds scopes.
#[tokio::test(start_paused = true)]
async fn other_claims_are_no_scopes() {
    let world = World::new();
    for claim in ["scp", "permissions", "roles"] {
        for value in [json!(["mcp:read"]), json!("mcp:read")] {
            let token = world.token_with(&json!({"scope": null, claim: value}));
            assert_eq!(world.ping(&token).await, StatusCode::FORBIDDEN);
        }
    }
}

/// RS-011, row 18: only access tokens are access tokens.
#[tokio::test(start_paused = true)]
async fn other_kinds_of_tokens_of_the_same_issuer_are_refused() {
    let world = World::new();
    for (typ, expected) in [
        ("at+jwt", Ok(())),
        ("AT+JWT", Ok(())),
        ("application/at+jwt", Ok(())),
        ("JWT", Err(Rejection::Type)),
        ("", Err(Rejection::Type)),
        ("dpop+jwt", Err(Rejection::Type)),
        ("logout+jwt", Err(Rejection::Type)),
        ("txntoken+jwt", Err(Rejection::Type)),
        ("oauth-id-jag+jwt", Err(Rejection::Type)),
        ("token-introspection+jwt", Err(Rejection::Type)),
        ("client-authentication+jwt", Err(Rejection::Type)),
        ("text/at+jwt", Err(Rejection::Type)),
        ("at+jwt ", Err(Rejection::Type)),
    ] {
        assert_eq!(
            verdict(&world, &world.sign(typ, &world.claims())).await,
            expected,
            "{typ}"
        );
    }
    let kid = world.key.public_jwk().thumbprint();
    let untyped = world.with_header(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
    assert_eq!(verdict(&world, &untyped).await, Err(Rejection::Type));
}

/// RS-012, rows 19 to 25.
#[tokio::test(start_paused = true)]
async fn headers_cannot_choose_how_they_are_checked() {
    let world = World::new();
    let kid = world.key.public_jwk().thumbprint().to_owned();
    let header = |members: &str| format!(r#"{{"typ":"at+jwt",{}}}"#, members.replace("KID", &kid));
    let rows = [
        (r#""alg":"ES256","kid":"KID""#, Ok(())),
        (
            r#""alg":"ES256","kid":"KID","jku":"https://evil.example/","x5u":"https://evil.example/","jwk":{}"#,
            Ok(()),
        ),
        (r#""alg":"ES256""#, Err(Rejection::NoKeyId)),
        (r#""alg":"ES256","kid":"other""#, Err(Rejection::UnknownKey)),
        (
            r#""alg":"ES256","kid":"../../etc/passwd""#,
            Err(Rejection::UnknownKey),
        ),
        (r#""alg":"none","kid":"KID""#, Err(Rejection::Algorithm)),
        (r#""alg":"HS256","kid":"KID""#, Err(Rejection::Algorithm)),
        (r#""alg":"ES384","kid":"KID""#, Err(Rejection::Algorithm)),
        (r#""alg":"RS512","kid":"KID""#, Err(Rejection::Algorithm)),
        (r#""alg":"es256","kid":"KID""#, Err(Rejection::Algorithm)),
        (r#""alg":"RS256","kid":"KID""#, Err(Rejection::Signature)),
        (r#""alg":"EdDSA","kid":"KID""#, Err(Rejection::Signature)),
        (
            r#""alg":"ES256","kid":"KID","crit":["exp"]"#,
            Err(Rejection::Malformed),
        ),
        (
            r#""alg":"ES256","kid":"KID","b64":false"#,
            Err(Rejection::Malformed),
        ),
        (
            r#""alg":"ES256","kid":"KID","alg":"none""#,
            Err(Rejection::Malformed),
        ),
        (r#""alg":"ES256","kid":["KID"]"#, Err(Rejection::Malformed)),
        (
            r#""alg":"ES256","kid":"KID","zip":"DEF""#,
            Err(Rejection::Malformed),
        ),
    ];
    for (members, expected) in rows {
        assert_eq!(
            verdict(&world, &world.with_header(&header(members))).await,
            expected,
            "{members}"
        );
    }
    let good = header(r#""alg":"ES256","kid":"KID""#);
    for payload in [
        "[]",
        "\"x\"",
        "null",
        "",
        "{",
        r#"{"iss":"https://as.example","iss":"https://as.example"}"#,
    ] {
        let token = raw_token(&world.key, &good, payload);
        assert!(verdict(&world, &token).await.is_err(), "{payload}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_or_foreign_signature_is_refused() {
    let world = World::new();
    let token = world.token();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = input.split_once('.').unwrap();
    let forged = base64url::encode(world.changed(&json!({"sub": "admin"})).to_string().as_bytes());
    let mut flipped = base64url::decode(signature).unwrap();
    flipped[0] ^= 1;
    for bad in [
        format!("{header}.{forged}.{signature}"),
        format!("{input}.{}", base64url::encode(&flipped)),
        format!("{input}.{}", base64url::encode(&[0; 64])),
    ] {
        assert_eq!(verdict(&world, &bad).await, Err(Rejection::Signature));
    }
    for bad in [
        format!("{input}."),
        format!("{token}="),
        format!("{token}.x"),
        input.to_owned(),
        format!("{token}\n"),
    ] {
        assert_eq!(verdict(&world, &bad).await, Err(Rejection::Malformed), "{bad}");
    }
    let huge = world.token_with(&json!({"x": "y".repeat(11_000)}));
    let oversized = format!("{huge}{}", "A".repeat(5_000));
    assert_eq!(verdict(&world, &oversized).await, Err(Rejection::Malformed));

    // The kid of the issuer's key, signed by somebody else's.
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let header = format!(
        r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#,
        world.key.public_jwk().thumbprint()
    );
    let token = raw_token(&stranger, &header, &world.claims().to_string());
    assert_eq!(verdict(&world, &token).await, Err(Rejection::Signature));
}

/// Row 22.
#[tokio::test(start_paused = true)]
async fn a_key_for_other_purposes_verifies_nothing() {
    for (member, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("ES384")),
    ] {
        let world = World::new();
        let other = SigningKey::generate(Algorithm::Es256).unwrap();
        let mut jwk = serde_json::to_value(world.key.public_jwk()).unwrap();
        jwk[member] = value;
        world
            .server
            .publish(JWKS, Behaviour::Json(json!({"keys": [jwk, other.public_jwk()]})));
        let verdict = verdict(&world, &world.token()).await;
        assert!(
            matches!(verdict, Err(Rejection::Signature | Rejection::UnknownKey)),
            "{member}: {verdict:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_allowed_algorithm_works_and_no_other() {
    for algorithm in Algorithm::ALL {
        let world = World::new();
        let key = SigningKey::generate(algorithm).unwrap();
        world.server.publish_keys(&[&key]);
        let token = sign(&key, "at+jwt", &world.claims()).unwrap();
        let by_default = matches!(
            algorithm,
            Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Rs256 | Algorithm::Ps256
        );
        let expected = if by_default {
            Ok(())
        } else {
            Err(Rejection::Algorithm)
        };
        assert_eq!(verdict(&world, &token).await, expected, "{algorithm}");
    }
}

/// RS-044: who and for whom are told apart.
#[tokio::test(start_paused = true)]
async fn the_claims_tell_subject_client_and_actor_apart() {
    let world = World::new();
    let token = world.token_with(&json!({
        "act": {"sub": "agent", "act": {"sub": "first-agent"}}, "department": "r&d", "scope": "mcp:read mcp:write",
    }));
    let claims = world.guard.verify(&token).await.unwrap();
    assert_eq!(
        (claims.subject.as_str(), claims.client_id.as_str()),
        ("alice", "client-1")
    );
    assert_eq!(claims.actor.as_ref().unwrap().sub, "agent");
    assert_eq!(claims.raw["department"], "r&d");
    assert_eq!(claims.audience, [RESOURCE]);
    assert_eq!((claims.issuer.as_str(), claims.jti.as_str()), (ISSUER, "token-1"));
    assert!(claims.require_scope("mcp:write").is_ok());
    let missing = claims.require_scope("mcp:admin").unwrap_err();
    assert_eq!(missing.needed().to_string(), "mcp:read mcp:admin");
    assert!(!format!("{claims:?}").contains("r&d"));
}

/// A token is remembered, but never past its end and never past its key.
#[tokio::test(start_paused = true)]
async fn a_remembered_token_ends_with_its_time_and_with_its_key() {
    for capacity in [0, 100] {
        let world = World::with(|builder| builder.token_cache(capacity));
        let token = world.token_with(&json!({"exp": world.now() + 10}));
        assert_eq!(verdict(&world, &token).await, Ok(()));
        assert_eq!(verdict(&world, &token).await, Ok(()));
        crate::support::pass(69).await;
        assert_eq!(verdict(&world, &token).await, Ok(()), "within the skew");
        crate::support::pass(1).await;
        assert_eq!(verdict(&world, &token).await, Err(Rejection::Expired));

        let long = world.token_with(&json!({"exp": world.now() + 86_400}));
        assert_eq!(verdict(&world, &long).await, Ok(()));
        let next = SigningKey::generate(Algorithm::Es256).unwrap();
        world.server.publish_keys(&[&next]);
        crate::support::pass(301).await;
        assert_eq!(verdict(&world, &long).await, Err(Rejection::UnknownKey), "RS-022");
    }
}
