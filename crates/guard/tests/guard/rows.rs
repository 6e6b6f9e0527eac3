//! The acceptance list of resource servers, rows 12 to 31, over HTTP: the control passes, everything else is `401`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_guard::{Document, Fetch, FetchFailure, Guard};
use doorward_jose::{Algorithm, HmacAlgorithm, SharedSecret, SigningKey, base64url, sign};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{ISSUER, JWKS, RESOURCE, VirtualClock, World, pass, raw_token};

/// The tokens of a row. The second half of each pair says whether the token is good.
fn rows(world: &World) -> Vec<(u32, String, bool)> {
    let now = world.now();
    let with = |changes: Value| world.token_with(&changes);
    let kid = world.key.public_jwk().thumbprint().to_owned();
    let header = |members: &str| world.with_header(&format!("{{{}}}", members.replace("KID", &kid)));
    let payload = |text: &str| {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
        raw_token(&world.key, &header, text)
    };
    let good = world.token();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let public = world.key.public_jwk().to_pem().unwrap();
    let claims = world.claims().as_object().unwrap().clone();
    let mut rows = vec![
        (12, with(json!({"exp": now - 61})), false),
        (13, with(json!({"exp": now - 15})), true),
        (14, with(json!({"nbf": now + 15, "iat": now + 15})), true),
        (14, with(json!({"nbf": now + 61})), false),
        (14, with(json!({"iat": now + 61})), false),
        (15, with(json!({"iss": "https://evil.example"})), false),
        (15, with(json!({"iss": "https://as.example/"})), false),
        (16, with(json!({"aud": "https://other.example"})), false),
        (16, with(json!({"aud": "https://mcp.example/mcp/"})), false),
        (
            16,
            with(json!({"aud": ["https://other.example", RESOURCE]})),
            true,
        ),
        (18, world.sign("JWT", &world.claims()), false),
        (18, header(r#""alg":"ES256","kid":"KID""#), false),
        (18, world.sign("AT+JWT", &world.claims()), true),
        (18, world.sign("application/at+jwt", &world.claims()), true),
        (
            19,
            format!(
                "{}.",
                input.replacen(
                    input.split('.').next().unwrap(),
                    &base64url::encode(br#"{"alg":"none","typ":"at+jwt"}"#),
                    1
                )
            ),
            false,
        ),
        (
            19,
            SharedSecret::new(HmacAlgorithm::Hs256, public.as_bytes())
                .sign(&claims)
                .unwrap(),
            false,
        ),
        (19, header(r#""alg":"RS384","typ":"at+jwt","kid":"KID""#), false),
        (20, header(r#""alg":"ES256","typ":"at+jwt""#), false),
        (21, format!("{input}.{}", base64url::encode(&[7; 64])), false),
        (21, format!("{}A.{signature}", &input[..input.len() - 1]), false),
        (
            23,
            header(r#""alg":"ES256","typ":"at+jwt","kid":"KID","crit":["exp"]"#),
            false,
        ),
        (
            23,
            header(
                r#""alg":"ES256","typ":"at+jwt","kid":"KID","jku":"https://evil.example","jwk":{},"x5u":"x""#,
            ),
            true,
        ),
        (24, payload("[]"), false),
        (24, payload("null"), false),
        (24, with(json!({"exp": (now + 300).to_string()})), false),
        (
            24,
            payload(
                &world
                    .claims()
                    .to_string()
                    .replace(&(now + 300).to_string(), "NaN"),
            ),
            false,
        ),
        (25, format!("{good}{}", "A".repeat(17_000)), false),
    ];
    for claim in ["iss", "aud", "sub", "client_id", "exp", "iat", "jti"] {
        rows.push((17, with(json!({ claim: null })), false));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn rows_12_to_25_every_bad_token_is_401() {
    let world = World::new();
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    for (row, token, is_good) in rows(&world) {
        let expected = if is_good {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(world.ping(&token).await, expected, "row {row}: {token}");
    }
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
}

/// Row 22: a key that is for something else, or for another algorithm.
#[tokio::test(start_paused = true)]
async fn row_22_a_key_that_is_not_for_this_verifies_nothing() {
    for (member, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("ES384")),
    ] {
        let world = World::new();
        let mut jwk = serde_json::to_value(world.key.public_jwk()).unwrap();
        jwk[member] = value;
        let spare = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let keys = json!({"keys": [jwk, spare.public_jwk()]});
        world.server.publish(JWKS, crate::support::Behaviour::Json(keys));
        assert_eq!(
            world.ping(&world.token()).await,
            StatusCode::UNAUTHORIZED,
            "{member}"
        );
        let token = sign(&spare, "at+jwt", &world.claims()).unwrap();
        assert_eq!(world.ping(&token).await, StatusCode::OK, "{member}");
    }
}

/// Counts what it is asked for, and says how long its key set stays fresh.
struct Counting {
    keys: Value,
    fresh_for: Option<Duration>,
    fetches: AtomicUsize,
}

impl Fetch for Counting {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let document = if url == JWKS {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            self.keys.clone()
        } else {
            json!({"issuer": ISSUER, "jwks_uri": JWKS})
        };
        let document = Document::new(document.to_string()).fresh_for(self.fresh_for);
        Box::pin(std::future::ready(Ok(document)))
    }
}

/// Row 31: `Cache-Control` counts, between half a minute and the interval that was set, and not to the second.
#[tokio::test(start_paused = true)]
async fn row_31_the_lifetime_of_keys_is_honoured_within_bounds() {
    for (fresh_for, expected) in [
        (None, 12..=14),
        (Some(86_400), 12..=14),
        (Some(100), 36..=41),
        (Some(1), 120..=135),
    ] {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let fetch = Arc::new(Counting {
            keys: json!({"keys": [key.public_jwk()]}),
            fresh_for: fresh_for.map(Duration::from_secs),
            fetches: AtomicUsize::new(0),
        });
        let guard = Guard::builder(ISSUER, RESOURCE)
            .clock(Arc::new(VirtualClock::starting(Instant::now())))
            .fetch(fetch.clone())
            .build()
            .unwrap();
        guard.start();
        pass(3600).await;
        let fetches = fetch.fetches.load(Ordering::SeqCst);
        assert!(expected.contains(&fetches), "{fresh_for:?}: {fetches}");
    }
}
