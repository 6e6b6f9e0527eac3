//! Several issuers for one resource.

use doorward_guard::{Algorithm, Rejection, VerifyError};
use doorward_jose::{SigningKey, sign};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::support::{AS_METADATA, Behaviour, ISSUER, World, pass, raw_token};

const SECOND: &str = "https://second.example/tenant";
const SECOND_METADATA: &str = "https://second.example/.well-known/oauth-authorization-server/tenant";
const SECOND_JWKS: &str = "https://second.example/keys";

/// A guard for the usual issuer and a second one.
struct Two {
    world: World,
    key: SigningKey,
}

impl Two {
    fn new() -> Self {
        let world = World::with(|builder| builder.issuer(SECOND).issuer(ISSUER));
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let metadata = json!({"issuer": SECOND, "jwks_uri": SECOND_JWKS});
        world.server.publish(SECOND_METADATA, Behaviour::Json(metadata));
        let keys = json!({"keys": [key.public_jwk()]});
        world.server.publish(SECOND_JWKS, Behaviour::Json(keys));
        Self { world, key }
    }

    fn of_second(&self, key: &SigningKey) -> String {
        sign(key, "at+jwt", &self.world.changed(&json!({"iss": SECOND}))).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn each_issuer_vouches_for_its_own_tokens() {
    let Two { world, key } = Two::new();
    let two = Two { world, key };
    let world = &two.world;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert_eq!(world.ping(&two.of_second(&two.key)).await, StatusCode::OK);
    let claims = world.guard.verify(&two.of_second(&two.key)).await.unwrap();
    assert_eq!(claims.issuer, SECOND);

    // Signed by a key of the other one, under its own name and under the other's.
    let kid = world.key.public_jwk().thumbprint();
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
    let payload = world.changed(&json!({"iss": SECOND})).to_string();
    for forged in [
        two.of_second(&world.key),
        sign(&two.key, "at+jwt", &world.claims()).unwrap(),
        raw_token(&two.key, &header, &payload),
        raw_token(&world.key, &header, &payload),
    ] {
        assert_eq!(world.ping(&forged).await, StatusCode::UNAUTHORIZED);
    }
    for stranger in ["https://second.example", "https://second.example/tenant/", ""] {
        let token = sign(&two.key, "at+jwt", &two.world.changed(&json!({"iss": stranger}))).unwrap();
        assert_eq!(
            world.guard.verify(&token).await.unwrap_err(),
            VerifyError::Rejected(Rejection::Issuer)
        );
    }
}

/// A `kid` means a key of the token's own issuer.
#[tokio::test(start_paused = true)]
async fn equal_names_of_keys_are_told_apart_by_the_issuer() {
    let two = Two::new();
    let world = &two.world;
    let named = |key: &SigningKey| {
        let mut jwk = serde_json::to_value(key.public_jwk()).unwrap();
        jwk["kid"] = json!("1");
        json!({ "keys": [jwk] })
    };
    world
        .server
        .publish(crate::support::JWKS, Behaviour::Json(named(&world.key)));
    world
        .server
        .publish(SECOND_JWKS, Behaviour::Json(named(&two.key)));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"1"}"#;
    for (key, issuer, expected) in [
        (&world.key, ISSUER, StatusCode::OK),
        (&two.key, SECOND, StatusCode::OK),
        (&world.key, SECOND, StatusCode::UNAUTHORIZED),
        (&two.key, ISSUER, StatusCode::UNAUTHORIZED),
    ] {
        let payload = world.changed(&json!({ "iss": issuer })).to_string();
        assert_eq!(world.ping(&raw_token(key, header, &payload)).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_metadata_names_every_issuer_once_and_in_order() {
    let two = Two::new();
    let request = http::Request::get("/.well-known/oauth-protected-resource/mcp");
    let metadata = two.world.send(request, "").await.json();
    assert_eq!(metadata["authorization_servers"], json!([ISSUER, SECOND]));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_cannot_be_reached_harms_no_other() {
    let two = Two::new();
    let world = &two.world;
    world.server.publish(SECOND_METADATA, Behaviour::Hangs);
    let (theirs, ours) = (two.of_second(&two.key), world.token());
    let answers =
        join_all((0..50).map(|number| world.ping(if number % 2 == 0 { &ours } else { &theirs }))).await;
    for (number, status) in answers.iter().enumerate() {
        let expected = if number % 2 == 0 {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        assert_eq!(*status, expected);
    }
    world.server.publish(
        SECOND_METADATA,
        Behaviour::Json(json!({"issuer": SECOND, "jwks_uri": SECOND_JWKS})),
    );
    pass(25).await;
    assert_eq!(world.ping(&two.of_second(&two.key)).await, StatusCode::OK);
}

/// Unknown keys of one issuer cost the other nothing, and a key that one issuer withdraws ends its own tokens alone.
#[tokio::test(start_paused = true)]
async fn keys_of_one_issuer_do_not_touch_the_other() {
    let two = Two::new();
    let world = &two.world;
    let (theirs, ours) = (
        two.of_second(&two.key),
        world.token_with(&json!({"exp": world.now() + 3600})),
    );
    assert_eq!(world.ping(&ours).await, StatusCode::OK);
    assert_eq!(world.ping(&theirs).await, StatusCode::OK);
    let before = world.server.key_fetches();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    for _ in 0..20 {
        assert_eq!(
            world.ping(&two.of_second(&stranger)).await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(world.server.key_fetches(), before);
    world.server.publish(
        SECOND_JWKS,
        Behaviour::Json(json!({"keys": [stranger.public_jwk()]})),
    );
    pass(31).await;
    assert_eq!(world.ping(&two.of_second(&stranger)).await, StatusCode::OK);
    assert_eq!(world.ping(&theirs).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.ping(&ours).await, StatusCode::OK);
}

/// The metadata of one issuer cannot speak for the other.
#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_is_refused() {
    let two = Two::new();
    let world = &two.world;
    world.server.publish(
        SECOND_METADATA,
        Behaviour::Json(json!({"issuer": ISSUER, "jwks_uri": SECOND_JWKS})),
    );
    world.server.publish(
        AS_METADATA,
        Behaviour::Json(json!({"issuer": SECOND, "jwks_uri": SECOND_JWKS})),
    );
    assert_eq!(
        world.ping(&two.of_second(&two.key)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
}
