//! `IntrospectionVerifier`: the answer is asked for once, counts for a short while, and an outage is no verdict.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_guard::client::{ClientAuth, OAuthClient};
use doorward_guard::testing::ManualClock;
use doorward_guard::verifiers::{IntrospectionVerifier, IntrospectionVerifierBuilder, TokenVerifier};
use doorward_guard::{
    Document, Fetch, FetchFailure, FormRequest, FormResponse, Guard, Rejection, TokenClaims, UnixSeconds,
    VerifyError,
};
use futures_util::future::{BoxFuture, join_all};
use http::StatusCode;
use serde_json::{Value, json};

use super::{guard_of, ping};
use crate::support::{ISSUER, RESOURCE};

const NOW: i64 = 1_800_000_000;

/// The form and the headers of a request.
type Question = (String, Vec<(String, String)>);

/// An authorization server that knows some opaque tokens.
#[derive(Default)]
struct Server {
    tokens: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<Question>>,
    down: AtomicBool,
}

impl Server {
    fn set(&self, token: &str, answer: Value) {
        self.tokens.lock().unwrap().insert(token.to_owned(), answer);
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Fetch for Server {
    fn get_json<'a>(&'a self, _: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let document = json!({"issuer": ISSUER, "introspection_endpoint": format!("{ISSUER}/introspect")});
        Box::pin(async move { Ok(Document::new(document.to_string())) })
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async move {
            let headers = request
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            self.asked
                .lock()
                .unwrap()
                .push((request.body.to_owned(), headers));
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.down.load(Ordering::SeqCst) {
                return Err(FetchFailure::new("no answer"));
            }
            let tokens = self.tokens.lock().unwrap();
            let known = tokens
                .iter()
                .find(|(token, _)| request.body.contains(&format!("token={token}")));
            let answer = known.map_or_else(|| json!({"active": false}), |(_, answer)| answer.clone());
            Ok(FormResponse {
                status: 200,
                headers: http::HeaderMap::new(),
                body: answer.to_string().into(),
            })
        })
    }
}

struct Setting {
    server: Arc<Server>,
    clock: Arc<ManualClock>,
}

impl Setting {
    fn new() -> Self {
        let setting = Self {
            server: Arc::default(),
            clock: Arc::new(ManualClock::new(UnixSeconds(NOW))),
        };
        setting.server.set("good", active());
        setting
    }

    fn builder(&self) -> IntrospectionVerifierBuilder {
        let client = OAuthClient::builder(ISSUER)
            .auth(ClientAuth::basic("rs", "secret"))
            .fetch(self.server.clone())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        IntrospectionVerifier::builder(client).clock(self.clock.clone())
    }

    fn verifier(&self) -> IntrospectionVerifier {
        self.builder().audience(RESOURCE).build().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn other_tokens_than_access_tokens_are_refused() {
    let setting = Setting::new();
    let strict = setting.verifier();
    let any = setting.builder().any_audience().build().unwrap();
    let refused = Err(VerifyError::Rejected(Rejection::Type));
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"token_type": "bearer"}), Ok(())),
        (json!({"token_type": "DPoP"}), Ok(())),
        (json!({"typ": "Bearer"}), Ok(())),
        (json!({"typ": "at+jwt", "token_use": "access_token"}), Ok(())),
        (json!({"token_type": "refresh_token"}), refused),
        (json!({"token_type": "N_A"}), refused),
        (json!({"token_type": ""}), refused),
        (
            json!({"token_type": "urn:ietf:params:oauth:token-type:id_token"}),
            refused,
        ),
        // Keycloak, Hydra, Cognito: all of them active.
        (json!({"typ": "Refresh"}), refused),
        (json!({"typ": "Offline"}), refused),
        (json!({"typ": "ID"}), refused),
        (json!({"typ": 5}), refused),
        (json!({"token_use": "refresh_token"}), refused),
        (json!({"token_use": "id"}), refused),
        (json!({"at_hash": "x"}), refused),
        (json!({"c_hash": "x"}), refused),
        (
            json!({"token_type": "DPoP", "cnf": null}),
            Err(VerifyError::Rejected(Rejection::Claims)),
        ),
    ] {
        setting.server.set("token", changed(&changes));
        for verifier in [&strict, &any] {
            verifier.evict("token");
            let outcome = verifier.verify_token("token").await.map(drop);
            assert_eq!(outcome, expected, "{changes}");
        }
    }
    // A refresh token of a server that says as little as it can: no type, no audience.
    let bare = changed(&json!({"token_type": null, "aud": null}));
    setting.server.set("token", bare);
    for (verifier, expected) in [(&strict, Rejection::Audience), (&any, Rejection::Type)] {
        verifier.evict("token");
        assert_eq!(
            verifier.verify_token("token").await.map(drop),
            Err(VerifyError::Rejected(expected))
        );
    }
    // Which resource it is for is enough, where it is told.
    setting.server.set("token", changed(&json!({"token_type": null})));
    strict.evict("token");
    assert!(strict.verify_token("token").await.is_ok());
}

#[test]
fn which_tokens_are_for_this_resource_must_be_said() {
    let setting = Setting::new();
    for builder in [
        setting.builder(),
        setting.builder().audience(RESOURCE).any_audience(),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(
            error.contains("`audience(..)`") && error.contains("`any_audience()`"),
            "{error}"
        );
    }
}

fn active() -> Value {
    json!({
        "active": true, "sub": "alice", "client_id": "client-1", "scope": "read write", "aud": RESOURCE,
        "exp": NOW + 300, "iat": NOW, "jti": "t-1", "gid": "g-1", "iss": ISSUER, "cnf": {"jkt": "k"},
        "act": {"sub": "agent"}, "department": "r&d", "token_type": "Bearer",
    })
}

fn changed(changes: &Value) -> Value {
    let mut answer = active();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            answer.as_object_mut().unwrap().remove(name);
        } else {
            answer[name] = value.clone();
        }
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn an_active_token_says_what_it_is() {
    let setting = Setting::new();
    let verifier = setting.builder().audience(RESOURCE).build().unwrap();
    let claims = verifier.verify_token("good").await.unwrap();
    assert_eq!(
        (claims.subject.as_str(), claims.client_id.as_str()),
        ("alice", "client-1")
    );
    assert_eq!(claims.scopes.to_string(), "read write");
    assert_eq!((claims.issuer.as_str(), claims.jti.as_str()), (ISSUER, "t-1"));
    assert_eq!(claims.grant_id.as_deref(), Some("g-1"));
    assert_eq!(claims.key_thumbprint.as_deref(), Some("k"));
    assert_eq!(claims.actor.as_ref().unwrap().sub, "agent");
    assert_eq!(claims.expires_at, UnixSeconds(NOW + 300));
    assert_eq!(claims.raw["department"], "r&d");
    let (body, headers) = setting.server.asked.lock().unwrap()[0].clone();
    assert!(
        body.contains("token=good") && body.contains("token_type_hint=access_token"),
        "{body}"
    );
    assert!(
        headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.starts_with("Basic "))
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_is_checked() {
    let setting = Setting::new();
    let verifier = setting.builder().audience(RESOURCE).build().unwrap();
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"aud": ["https://other.example", RESOURCE]}), Ok(())),
        (
            json!({"iss": null, "exp": null, "cnf": null, "act": null}),
            Ok(()),
        ),
        (json!({"active": false}), Err(Rejection::UnknownToken)),
        (json!({"iss": "https://other.example"}), Err(Rejection::Issuer)),
        (json!({"aud": "https://other.example"}), Err(Rejection::Audience)),
        (json!({"aud": null}), Err(Rejection::Audience)),
        (json!({"aud": []}), Err(Rejection::Audience)),
        (json!({"exp": NOW - 60}), Err(Rejection::Expired)),
        (json!({"nbf": NOW + 61}), Err(Rejection::NotYetValid)),
        (json!({"scope": "a\"b"}), Err(Rejection::Claims)),
        (json!({"act": "agent"}), Err(Rejection::Claims)),
    ] {
        setting.server.set("token", changed(&changes));
        verifier.evict("token");
        let outcome = verifier.verify_token("token").await.map(drop);
        assert_eq!(outcome, expected.map_err(VerifyError::Rejected), "{changes}");
    }
    setting.server.set(
        "token",
        changed(&json!({"exp": null, "client_id": null, "sub": null})),
    );
    verifier.evict("token");
    let bare = verifier.verify_token("token").await.unwrap();
    assert_eq!(
        (bare.client_id.as_str(), bare.subject.as_str()),
        ("unknown", "unknown")
    );
    assert_eq!(bare.expires_at, TokenClaims::NEVER);
}

/// Row 48: the answer counts for a short while, and for nobody longer than the token.
#[tokio::test(start_paused = true)]
async fn an_answer_counts_for_a_short_while() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    let answers = join_all((0..50).map(|_| verifier.verify_token("good"))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(setting.server.questions(), 1, "many callers, one question");
    setting.server.set("good", json!({"active": false}));
    setting.clock.advance(Duration::from_secs(9));
    assert!(verifier.verify_token("good").await.is_ok());
    setting.clock.advance(Duration::from_secs(1));
    assert!(verifier.verify_token("good").await.is_err());
    setting.server.set("good", active());
    setting.clock.advance(Duration::from_secs(4));
    assert!(
        verifier.verify_token("good").await.is_err(),
        "a no counts as well"
    );
    setting.clock.advance(Duration::from_secs(1));
    assert!(verifier.verify_token("good").await.is_ok());
    assert_eq!(setting.server.questions(), 3);

    let soon = changed(&json!({"exp": NOW + 17}));
    setting.server.set("soon", soon);
    assert!(verifier.verify_token("soon").await.is_ok());
    setting.server.set("soon", json!({"active": false}));
    setting.clock.advance(Duration::from_secs(2));
    assert!(verifier.verify_token("soon").await.is_err(), "never past its end");
}

/// What is revoked while the answer travels does not count longer for it.
#[tokio::test(start_paused = true)]
async fn an_answer_counts_from_when_it_was_asked_for() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    let travel = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        setting.clock.advance(Duration::from_secs(9));
    };
    let (first, ()) = tokio::join!(verifier.verify_token("good"), travel);
    assert!(first.is_ok());
    setting.server.set("good", json!({"active": false}));
    setting.clock.advance(Duration::from_secs(1));
    assert!(verifier.verify_token("good").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_answer_last_longer() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    assert!(verifier.verify_token("good").await.is_ok());
    assert!(verifier.verify_token("unknown").await.is_err());
    setting.server.set("good", json!({"active": false}));
    setting.server.set("unknown", changed(&json!({"jti": "t-2"})));
    setting.clock.set(UnixSeconds(NOW - 3600));
    assert!(verifier.verify_token("good").await.is_err());
    assert!(verifier.verify_token("unknown").await.is_ok());
    assert_eq!(setting.server.questions(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_more_answers_are_remembered_than_was_said() {
    let setting = Setting::new();
    let small = setting
        .builder()
        .audience(RESOURCE)
        .cache_size(10)
        .build()
        .unwrap();
    let large = setting.verifier();
    let tokens: Vec<_> = (0..200).map(|number| format!("token-{number}-")).collect();
    for (verifier, most) in [(&small, 10), (&large, 200)] {
        for token in &tokens {
            assert!(verifier.verify_token(token).await.is_err());
        }
        let before = setting.server.questions();
        for token in &tokens {
            assert!(verifier.verify_token(token).await.is_err());
        }
        let remembered = tokens.len() - (setting.server.questions() - before);
        assert!(remembered <= most, "{remembered}");
        assert!(most == 10 || remembered > 10, "{remembered}");
    }
}

#[tokio::test(start_paused = true)]
async fn remembered_answers_can_be_forgotten() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    for forget in [
        |verifier: &IntrospectionVerifier| verifier.evict("good"),
        |verifier: &IntrospectionVerifier| verifier.forget_grant("g-1"),
    ] {
        setting.server.set("good", active());
        assert!(verifier.verify_token("good").await.is_ok());
        setting.server.set("good", json!({"active": false}));
        verifier.forget_grant("another");
        assert!(verifier.verify_token("good").await.is_ok());
        forget(&verifier);
        assert!(verifier.verify_token("good").await.is_err());
        verifier.evict("good");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_guard_forgets_its_verifiers_forget() {
    let setting = Setting::new();
    let guard = guard_of(setting.verifier());
    for forget in [
        |guard: &Guard| guard.evict("good"),
        |guard: &Guard| guard.forget_grant("g-1"),
    ] {
        setting.server.set("good", changed(&json!({"cnf": null})));
        assert!(guard.verify("good").await.is_ok());
        setting.server.set("good", json!({"active": false}));
        assert!(guard.verify("good").await.is_ok());
        forget(&guard);
        assert!(guard.verify("good").await.is_err());
        guard.evict("good");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_time_to_live_every_request_asks() {
    let setting = Setting::new();
    let verifier = setting
        .builder()
        .audience(RESOURCE)
        .cache_ttl(Duration::ZERO, Duration::ZERO)
        .build()
        .unwrap();
    for expected in 1..=3 {
        assert!(verifier.verify_token("good").await.is_ok());
        assert_eq!(setting.server.questions(), expected);
    }
}

/// Row 46: an outage is answered with 503, and ends.
#[tokio::test(start_paused = true)]
async fn an_outage_is_no_verdict_and_ends() {
    let setting = Setting::new();
    setting.server.set("good", changed(&json!({"cnf": null})));
    let guard = guard_of(setting.verifier());
    setting.server.down.store(true, Ordering::SeqCst);
    assert_eq!(ping(&guard, "good").await.0, StatusCode::SERVICE_UNAVAILABLE);
    setting.server.down.store(false, Ordering::SeqCst);
    assert_eq!(ping(&guard, "good").await.0, StatusCode::OK);
    assert_eq!(ping(&guard, "bad").await.0, StatusCode::UNAUTHORIZED);
}

/// Whoever asked first has asked for the others: they do not ask one after the other.
#[tokio::test(start_paused = true)]
async fn callers_of_one_token_share_a_failure_as_well() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    setting.server.down.store(true, Ordering::SeqCst);
    let answers = join_all((0..8).map(|_| verifier.verify_token("good"))).await;
    for answer in answers {
        assert!(
            matches!(answer, Err(VerifyError::IntrospectionUnavailable { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(setting.server.questions(), 1);
    setting.server.down.store(false, Ordering::SeqCst);
    assert!(verifier.verify_token("good").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_token_is_not_asked_about() {
    let setting = Setting::new();
    let verifier = setting.verifier();
    for token in ["", &"x".repeat(16 * 1024 + 1)] {
        assert_eq!(
            verifier.verify_token(token).await.unwrap_err(),
            VerifyError::Rejected(Rejection::Malformed)
        );
    }
    assert_eq!(setting.server.questions(), 0);
    assert!(setting.builder().audience("").build().is_err());
    assert!(
        setting
            .builder()
            .audience(RESOURCE)
            .required_scopes(["a b"])
            .build()
            .is_err()
    );
}
