//! `JwtVerifier` with keys that are known, and `KeyPair`.

mod keys;

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::testing::{KeyPair, TokenParameters};
use doorward_guard::verifiers::{JwtVerifier, JwtVerifierBuilder, TokenVerifier, VerifierError};
use doorward_guard::{Algorithm, Claims, Rejection, TokenClaims, UnixSeconds, VerifyError};
use doorward_jose::{HmacAlgorithm, SharedSecret};
use doorward_oauth::time::ManualClock;
use serde_json::{Map, Value, json};

use crate::support::with_causes;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes ...";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(UnixSeconds(NOW)))
}

struct Setting {
    key_pair: KeyPair,
    clock: Arc<ManualClock>,
}

impl Setting {
    fn new() -> Self {
        Self {
            key_pair: KeyPair::generate().unwrap(),
            clock: clock(),
        }
    }

    fn builder(&self) -> JwtVerifierBuilder {
        JwtVerifier::builder()
            .public_key(self.key_pair.public_key())
            .clock(self.clock.clone())
    }

    fn parameters(&self) -> TokenParameters {
        TokenParameters::new().clock(self.clock.clone())
    }

    fn token(&self, parameters: &TokenParameters) -> String {
        self.key_pair.create_token(parameters).unwrap()
    }
}

async fn verdict(verifier: &JwtVerifier, token: &str) -> Result<Claims, Rejection> {
    let rejection = |error| match error {
        VerifyError::Rejected(rejection) => Some(rejection),
        _ => None,
    };
    verifier
        .verify(token)
        .await
        .map_err(|error| rejection(error).unwrap())
}

#[tokio::test]
async fn without_issuer_and_audience_only_signature_and_times_count() {
    let setting = Setting::new();
    let verifier = setting.builder().build().unwrap();
    let claims = verdict(&verifier, &setting.token(&setting.parameters()))
        .await
        .unwrap();
    assert_eq!(
        (claims.subject.as_str(), claims.issuer.as_str()),
        ("test-user", "https://issuer.example")
    );
    assert!(claims.audience.is_empty() && claims.scopes.is_empty());
    let bare = setting
        .parameters()
        .claim("iss", Value::Null)
        .claim("sub", Value::Null)
        .claim("exp", Value::Null)
        .claim("iat", Value::Null);
    let claims = verdict(&verifier, &setting.token(&bare)).await.unwrap();
    assert_eq!(
        (claims.client_id.as_str(), claims.subject.as_str()),
        ("unknown", "")
    );
    assert_eq!(claims.expires_at, TokenClaims::NEVER);
    let another = KeyPair::generate().unwrap().create_token(&setting.parameters());
    assert_eq!(
        verdict(&verifier, &another.unwrap()).await.unwrap_err(),
        Rejection::Signature
    );
}

#[tokio::test]
async fn issuer_and_audience_may_be_one_or_several() {
    let setting = Setting::new();
    let verifier = setting
        .builder()
        .issuer("https://one.example")
        .issuer("https://two.example/")
        .audience("api-1")
        .audience("api-2")
        .build()
        .unwrap();
    let parameters =
        |issuer: &str, audience: Value| setting.parameters().issuer(issuer).claim("aud", audience);
    for (issuer, audience, expected) in [
        ("https://one.example", json!("api-1"), Ok(())),
        ("https://two.example/", json!(["x", "api-2"]), Ok(())),
        ("https://two.example", json!("api-1"), Err(Rejection::Issuer)),
        ("https://three.example", json!("api-1"), Err(Rejection::Issuer)),
        ("https://one.example", json!("api-3"), Err(Rejection::Audience)),
        (
            "https://one.example",
            json!(["api-3", "API-1"]),
            Err(Rejection::Audience),
        ),
        ("https://one.example", Value::Null, Err(Rejection::Audience)),
        ("https://one.example", json!([]), Err(Rejection::Claims)),
        ("https://one.example", json!(["api-1", 7]), Err(Rejection::Claims)),
    ] {
        let token = setting.token(&parameters(issuer, audience.clone()));
        assert_eq!(
            verdict(&verifier, &token).await.map(drop),
            expected,
            "{issuer} {audience}"
        );
    }
    let unnamed = setting.token(&setting.parameters().claim("iss", Value::Null).audience("api-1"));
    assert_eq!(verdict(&verifier, &unnamed).await.unwrap_err(), Rejection::Issuer);
}

#[tokio::test]
async fn the_client_is_the_first_name_that_the_token_has() {
    let setting = Setting::new();
    let verifier = setting.builder().build().unwrap();
    for (claims, client, subject) in [
        (json!({"client_id": "c", "azp": "a", "sub": "s"}), "c", "s"),
        (json!({"azp": "a", "sub": "s"}), "a", "s"),
        (json!({"client_id": "", "azp": "", "sub": "s"}), "s", "s"),
        (json!({"sub": "s"}), "s", "s"),
        (json!({"sub": null}), "unknown", ""),
    ] {
        let additional: Map<String, Value> = claims.as_object().unwrap().clone();
        let token = setting.token(&setting.parameters().additional_claims(additional));
        let read = verdict(&verifier, &token).await.unwrap();
        assert_eq!(
            (read.client_id.as_str(), read.subject.as_str()),
            (client, subject),
            "{claims}"
        );
    }
}

#[tokio::test]
async fn scopes_are_a_string_or_a_list_in_scope_or_scp() {
    let setting = Setting::new();
    let verifier = setting.builder().build().unwrap();
    for (claims, expected) in [
        (json!({"scope": "read write"}), Ok("read write")),
        (json!({"scope": ["read", "write"]}), Ok("read write")),
        (json!({"scp": "read  write "}), Ok("read write")),
        (json!({"scp": ["read"]}), Ok("read")),
        (json!({"scp": "b", "scope": "a"}), Ok("a")),
        (json!({"scope": "", "scp": "b"}), Ok("")),
        (json!({"scope": []}), Ok("")),
        (json!({}), Ok("")),
        (json!({"scope": 7}), Err(Rejection::Claims)),
        (json!({"scope": ["a", 7]}), Err(Rejection::Claims)),
        (json!({"scope": ["a b"]}), Err(Rejection::Claims)),
        (json!({"scope": "a\"b"}), Err(Rejection::Claims)),
    ] {
        let additional: Map<String, Value> = claims.as_object().unwrap().clone();
        let token = setting.token(&setting.parameters().additional_claims(additional));
        let scopes = verdict(&verifier, &token)
            .await
            .map(|read| read.scopes.to_string());
        assert_eq!(scopes, expected.map(str::to_owned), "{claims}");
    }
}

#[tokio::test]
async fn required_scopes_are_all_required() {
    let setting = Setting::new();
    let verifier = setting.builder().required_scopes(["a", "b"]).build().unwrap();
    for (scopes, expected) in [
        (vec!["a", "b", "c"], Ok(())),
        (vec!["a"], Err(Rejection::Scope)),
        (vec![], Err(Rejection::Scope)),
    ] {
        let token = setting.token(&setting.parameters().scopes(scopes.clone()));
        assert_eq!(verdict(&verifier, &token).await.map(drop), expected, "{scopes:?}");
        // In a guard, scopes are the guard's business: it answers 403.
        assert!(verifier.verify_token(&token).await.is_ok());
    }
    assert_eq!(verifier.required_scopes().to_string(), "a b");
}

#[tokio::test]
async fn times_count_with_the_skew_that_was_set() {
    let setting = Setting::new();
    for (skew, claims, expected) in [
        (60, json!({"exp": NOW - 59}), Ok(())),
        (60, json!({"exp": NOW - 60}), Err(Rejection::Expired)),
        (0, json!({"exp": NOW + 1}), Ok(())),
        (0, json!({"exp": NOW}), Err(Rejection::Expired)),
        (0, json!({"nbf": NOW + 1}), Err(Rejection::NotYetValid)),
        (0, json!({"iat": NOW + 1}), Err(Rejection::IssuedInFuture)),
        (60, json!({"nbf": NOW + 60, "iat": NOW + 60}), Ok(())),
        (60, json!({"exp": "1900000000"}), Err(Rejection::Claims)),
    ] {
        let verifier = setting
            .builder()
            .clock_skew(Duration::from_secs(skew))
            .build()
            .unwrap();
        let additional: Map<String, Value> = claims.as_object().unwrap().clone();
        let token = setting.token(&setting.parameters().additional_claims(additional));
        assert_eq!(
            verdict(&verifier, &token).await.map(drop),
            expected,
            "{claims} {skew}"
        );
    }
    let expired = setting.token(&setting.parameters().expired_since(Duration::from_hours(1)));
    let verifier = setting.builder().build().unwrap();
    assert_eq!(
        verdict(&verifier, &expired).await.unwrap_err(),
        Rejection::Expired
    );
}

#[tokio::test]
async fn other_kinds_of_tokens_are_refused() {
    let setting = Setting::new();
    let verifier = setting.builder().build().unwrap();
    for (typ, expected) in [
        ("JWT", Ok(())),
        ("jwt", Ok(())),
        ("at+jwt", Ok(())),
        ("application/at+jwt", Ok(())),
        ("dpop+jwt", Err(Rejection::Type)),
        ("logout+jwt", Err(Rejection::Type)),
        ("secevent+jwt", Err(Rejection::Type)),
        ("", Err(Rejection::Type)),
    ] {
        let token = setting.token(&setting.parameters().typ(typ));
        assert_eq!(verdict(&verifier, &token).await.map(drop), expected, "{typ}");
    }
    for garbage in ["", "a.b.c", "not a token", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(verdict(&verifier, garbage).await.is_err(), "{garbage}");
    }
}

/// A confirmation that is not understood must not make a bound token look unbound.
#[tokio::test]
async fn bound_tokens_are_known_as_such() {
    let setting = Setting::new();
    let verifier = setting.builder().build().unwrap();
    let with = |cnf: Value| setting.token(&setting.parameters().claim("cnf", cnf));
    let bound = verdict(&verifier, &with(json!({"jkt": "x"}))).await.unwrap();
    assert_eq!(bound.key_thumbprint.as_deref(), Some("x"));
    for other in [json!({"x5t#S256": "x"}), json!({}), json!("x")] {
        assert_eq!(
            verdict(&verifier, &with(other)).await.unwrap_err(),
            Rejection::Claims
        );
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let key_pair = KeyPair::generate().unwrap();
    let builder = JwtVerifier::builder;
    let key = || builder().public_key(key_pair.public_key());
    let private = key_pair.private_key().unwrap();
    let refused = [
        (builder(), "needs a key"),
        (key().jwks_uri("https://idp.example/keys"), "one of"),
        (key().shared_secret(HmacAlgorithm::Hs256, SECRET), "one of"),
        (builder().public_key("no key"), "PEM"),
        (builder().public_key(&private), "public half"),
        (builder().public_key(r#"{"kty":"oct","k":"AAAA"}"#), "public half"),
        (builder().public_key(r#"{"keys":[]}"#), "algorithm"),
        (
            builder().shared_secret(HmacAlgorithm::Hs256, "short"),
            "allow_short_secret",
        ),
        (
            builder()
                .shared_secret(HmacAlgorithm::Hs256, SECRET)
                .algorithms([Algorithm::Es256]),
            "leave `algorithms` out",
        ),
        (key().algorithms([]), "at least one"),
        (key().issuer(""), "empty issuer"),
        (key().audience(""), "empty audience"),
        (key().required_scopes([""]), "at least one character"),
        (key().clock_skew(Duration::from_secs(61)), "60 seconds"),
        (builder().jwks_uri("/keys"), "absolute"),
        (builder().jwks_uri("http://idp.example/keys"), "dev_mode"),
        (builder().jwks_uri("https://u:p@idp.example/keys"), "user name"),
        (builder().jwks_uri("https://idp.example/keys#x"), "fragment"),
        (builder().jwks_uri("file:///etc/passwd"), "https://"),
        (
            builder().jwks_uri("https://idp.example/keys").algorithms([]),
            "at least one",
        ),
    ];
    for (builder, remedy) in refused {
        let message = with_causes(&builder.build().unwrap_err());
        assert!(message.contains(remedy), "{message} / {remedy}");
        assert!(!message.contains("short\""));
    }
    for builder in [
        builder()
            .shared_secret(HmacAlgorithm::Hs256, "short")
            .allow_short_secret(true),
        builder().jwks_uri("http://localhost:9000/keys"),
        builder().jwks_uri("http://idp.example/keys").dev_mode(true),
    ] {
        assert!(builder.build().is_ok());
    }
}

/// A verified token is remembered, and ends with its time.
#[tokio::test]
async fn a_remembered_token_ends_with_its_time() {
    for remembered in [0, 10] {
        let setting = Setting::new();
        let verifier = setting.builder().token_cache(remembered).build().unwrap();
        let token = setting.token(&setting.parameters().expires_in(Duration::from_secs(10)));
        assert!(verdict(&verifier, &token).await.is_ok());
        verifier.evict(&token);
        verifier.forget_grant("grant-1");
        assert!(verdict(&verifier, &token).await.is_ok());
        setting.clock.advance(Duration::from_secs(70));
        assert_eq!(verdict(&verifier, &token).await.unwrap_err(), Rejection::Expired);
    }
}

#[tokio::test]
async fn a_key_pair_makes_every_token_that_a_test_needs() {
    let clock = clock();
    let key_pair = KeyPair::generate_for(Algorithm::Rs256).unwrap();
    let again = KeyPair::from_private_key(Algorithm::Rs256, &key_pair.private_key().unwrap()).unwrap();
    assert_eq!(again.public_key(), key_pair.public_key());
    assert_eq!(
        (again.key_id(), again.algorithm()),
        (key_pair.key_id(), Algorithm::Rs256)
    );
    let parameters = TokenParameters::new()
        .subject("dev-user")
        .issuer("https://dev.example.com")
        .audience("one")
        .audience("two")
        .scopes(["read", "write"])
        .expires_in(Duration::from_secs(90))
        .claim("department", "r&d")
        .claim("sub", "replaced")
        .key_id("key-1")
        .clock(clock);
    let token = again.create_token(&parameters).unwrap();
    let part = |index: usize| -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&doorward_jose::base64url::decode(part).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    assert_eq!(
        part(1),
        json!({
            "iss": "https://dev.example.com", "sub": "replaced", "aud": ["one", "two"], "scope": "read write",
            "iat": NOW, "exp": NOW + 90, "department": "r&d",
        })
    );
    assert!(!format!("{key_pair:?}").contains("PRIVATE"));
}
