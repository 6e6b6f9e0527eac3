//! Rows 9 and 46: what is in the log, and what is not.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_guard::{DpopPolicy, Fail, IntrospectionPolicy, Revocation};
use http::StatusCode;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::dpop::Bound;
use crate::revocation::support::world as revoking_world;
use crate::support::{ISSUER, RESOURCE, World, call, pass, ping_message, post, raw_token};

/// Everything that is logged on this thread, down to the last detail.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Log {
    fn add(&self, level: Level, write: impl FnOnce(&mut Line)) {
        let mut line = Line(String::new());
        write(&mut line);
        self.0.lock().unwrap().push((level, line.0));
    }

    fn all(&self) -> String {
        let lines = self.0.lock().unwrap();
        let lines: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
        lines.join("\n")
    }

    fn has(&self, level: Level, words: &str) -> bool {
        self.count(level, words) > 0
    }

    fn count(&self, level: Level, words: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines
            .iter()
            .filter(|(at, line)| *at == level && line.contains(words))
            .count()
    }

    /// Without what a token said instead of what was expected, which is told at debug alone.
    fn without_differences(&self) -> String {
        let lines = self.0.lock().unwrap();
        let others = lines
            .iter()
            .filter(|(level, line)| *level != Level::DEBUG || !line.contains(DIFFERENCE));
        let others: Vec<_> = others.map(|(_, line)| line.as_str()).collect();
        others.join("\n")
    }
}

const DIFFERENCE: &str = "a token says something else than is expected";

/// What is told of the span in which the call of a tool runs.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(String, bool)>>>);

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let metadata = span.metadata();
        let mut line = Line(format!("{} {} ", metadata.level(), metadata.name()));
        span.record(&mut line);
        let mut spans = self.0.lock().unwrap();
        spans.push((line.0, false));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        let place = usize::try_from(id.into_u64()).unwrap() - 1;
        self.0.lock().unwrap()[place].1 = true;
    }

    fn exit(&self, _: &Id) {}
}

/// docs/src/how-to/audit.md: the lines of a tool can be told apart by client.
#[tokio::test(start_paused = true)]
async fn a_call_runs_in_a_span_that_says_for_which_client_and_grant() {
    let spans = Spans::default();
    let _logging = tracing::subscriber::set_default(spans.clone());
    let world = World::new();
    for (changes, expected) in [
        (
            json!({}),
            r#"DEBUG guarded_request client_id=client-1 grant_id="grant-1" "#,
        ),
        (
            json!({"gid": null, "client_id": "c-2"}),
            "DEBUG guarded_request client_id=c-2 ",
        ),
    ] {
        assert_eq!(world.ping(&world.token_with(&changes)).await, StatusCode::OK);
        let made = std::mem::take(&mut *spans.0.lock().unwrap());
        let of_guard: Vec<_> = made
            .iter()
            .filter(|(line, _)| line.contains("guarded_request"))
            .collect();
        assert_eq!(of_guard, [&(expected.to_owned(), true)]);
    }
    // Who is refused runs nothing.
    world.ping("garbage").await;
    assert!(
        !spans
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|(line, _)| line.contains("guarded_request"))
    );
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.add(*span.metadata().level(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.add(Level::TRACE, |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.add(*event.metadata().level(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Row 9: what a stranger wrote into token, proof, headers and body is in no answer and no line of the log, but at debug an
/// issuer, an audience or a key id that is not the expected one.
#[tokio::test(start_paused = true)]
async fn row_9_nothing_that_a_stranger_wrote_is_repeated() {
    const MARK: &str = "MARKMARK";
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let client = Bound::with(DpopPolicy::Accept, |it| it.dpop_nonces(true));
    let world = &client.world;
    let hostile = format!("{MARK}\", error=\"x\\\\\u{e9}");
    let claims = |name: &str| world.token_with(&json!({ name: hostile }));
    let bound = client.token();
    let mut requests = Vec::new();
    for name in [
        "iss",
        "aud",
        "sub",
        "client_id",
        "jti",
        "scope",
        "exp",
        "iat",
        "nbf",
        "cnf",
        "act",
        "gid",
    ] {
        // In a token that is refused for something else as well.
        let mut changes = json!({"aud": "https://other.example"});
        changes[name] = json!(hostile);
        requests.push(("Bearer", world.token_with(&changes), None));
        requests.push(("Bearer", claims(name), None));
    }
    for name in ["jti", "htm", "htu", "iat", "ath", "nonce"] {
        requests.push((
            "DPoP",
            bound.clone(),
            Some(client.proof_with(&bound, &json!({ name: hostile }))),
        ));
    }
    requests.push(("DPoP", bound.clone(), Some(format!("{MARK}.{MARK}.{MARK}"))));
    requests.push(("Bearer", format!("{MARK}.{MARK}.{MARK}"), None));
    requests.push((MARK, bound.clone(), None));
    let mut secrets = Vec::new();
    for (scheme, token, proof) in requests {
        let mut request = post().header("authorization", format!("{scheme} {token}"));
        request = request.header("mcp-session-id", MARK).header("mcp-name", MARK);
        if let Some(proof) = &proof {
            request = request.header("dpop", proof);
        }
        let answer = world.send(request, call(MARK).to_string()).await;
        assert!(answer.status.is_client_error(), "{}", answer.body);
        for (name, value) in &answer.headers {
            assert!(!value.to_str().unwrap().contains(MARK), "{name}: {value:?}");
        }
        assert!(!answer.body.contains(MARK), "{}", answer.body);
        let parts = [Some(token), proof].into_iter().flatten();
        secrets.extend(parts.filter_map(|text| Some(text.rsplit_once('.')?.1.to_owned())));
    }
    assert_eq!(world.runs(), 0);
    let logged = log.all();
    assert!(
        logged.contains("refused") || logged.contains("reason"),
        "{logged}"
    );
    for secret in secrets.iter().filter(|secret| secret.as_str() != MARK) {
        assert!(!logged.contains(secret), "{secret}\n{logged}");
    }
    let others = log.without_differences();
    assert!(!others.contains(MARK), "{others}");
    // Escaped where it is told.
    assert!(log.has(Level::DEBUG, DIFFERENCE), "{logged}");
    assert!(!logged.contains(&hostile), "{logged}");
}

/// How often each of these is told at this level.
fn counts<const N: usize>(log: &Log, level: Level, words: [&str; N]) -> [usize; N] {
    words.map(|words| log.count(level, words))
}

/// Neither an outage nor the requests that it meets fill the log.
#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_fetched_are_told_of_once_a_minute_and_when_they_come() {
    const WORDS: [&str; 2] = ["could not be refreshed", "request refused"];
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let world = World::new();
    world.server.set_down(true);
    for _ in 0..50 {
        assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(counts(&log, Level::WARN, WORDS), [1, 1]);
    assert_eq!(
        log.count(Level::DEBUG, "request refused"),
        49,
        "each can be found by its id"
    );
    pass(610).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::SERVICE_UNAVAILABLE);
    let [attempts, requests] = counts(&log, Level::WARN, WORDS);
    assert!((9..=11).contains(&attempts), "{attempts}");
    assert_eq!(requests, 2);
    assert!(log.has(Level::WARN, "requests=50"), "{}", log.all());
    let failures = world.guard.metrics().keys[0].failures;
    assert!(failures > 100, "{failures}");
    assert_eq!(world.guard.metrics().keys[0].age, None);
    assert_eq!(log.count(Level::INFO, "are refreshed again"), 0);
    world.server.set_down(false);
    pass(5).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert_eq!(log.count(Level::INFO, "are refreshed again"), 1);
    let keys = world.guard.metrics().keys;
    assert_eq!((keys.len(), keys[0].issuer.as_str()), (1, ISSUER));
    assert!(keys[0].failures >= failures);
    assert!(keys[0].age.unwrap() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn introspection_that_fails_is_told_of_once_and_when_it_works_again() {
    const WORDS: [&str; 2] = ["could not be asked about an access token", "request refused"];
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let (world, endpoints) = revoking_world(Revocation::introspection());
    for number in 0..20 {
        let token = world.token_with(&json!({"jti": format!("token-{number}")}));
        assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(counts(&log, Level::WARN, WORDS), [1, 1]);
    assert_eq!(log.count(Level::DEBUG, "could not be asked"), 19);
    endpoints.active(true);
    pass(31).await;
    for _ in 0..2 {
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    }
    assert_eq!(log.count(Level::INFO, "answers again about access tokens"), 1);
}

/// At debug, for whoever set up an issuer or a resource in another way than the authorization server.
#[tokio::test(start_paused = true)]
async fn what_a_token_says_and_what_was_expected_is_told_at_debug() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let world = World::new();
    let lengthy = format!("https://other.example/{}", "x".repeat(300));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"another\nkey"}"#;
    let unknown = raw_token(&world.key, header, &world.claims().to_string());
    let tokens = [
        world.token_with(&json!({"iss": "https://other.example/\u{1b}[31m"})),
        world.token_with(&json!({"aud": ["https://one.example", "https://two.example"]})),
        world.token_with(&json!({"aud": lengthy})),
        unknown,
    ];
    for token in &tokens {
        assert_eq!(world.ping(token).await, StatusCode::UNAUTHORIZED);
    }
    let logged = log.all();
    for (of, found, expected) in [
        ("iss", r"https://other.example/\u{1b}[31m", ISSUER),
        ("aud", "https://one.example https://two.example", RESOURCE),
        ("kid", r"another\nkey", world.key.public_jwk().key_id().unwrap()),
    ] {
        let line = format!("of={of:?} found={found} expected={expected} ");
        assert!(log.has(Level::DEBUG, &line), "{line}\n{logged}");
    }
    assert!(
        logged.contains(&format!("found={}… ", &lengthy[..200])),
        "{logged}"
    );
    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!logged.contains(part), "{logged}");
    }
}

/// Row 46: who lets tokens pass that nobody could be asked about says so.
#[tokio::test(start_paused = true)]
async fn row_46_an_open_door_is_in_the_log() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let policy = IntrospectionPolicy::default().fail(Fail::Open);
    let (world, _) = revoking_world(Revocation::Introspection(policy));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert!(
        log.has(Level::WARN, "could not be asked about an access token"),
        "{}",
        log.all()
    );
    assert!(log.has(Level::WARN, "open"), "{}", log.all());
}

/// A good request leaves neither token nor proof in the log either.
#[tokio::test(start_paused = true)]
async fn row_9_good_tokens_are_not_in_the_log() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let client = Bound::new(DpopPolicy::Accept);
    let (bearer, bound) = (client.world.token(), client.token());
    let proof = client.proof(&bound);
    assert_eq!(client.world.ping(&bearer).await, StatusCode::OK);
    let request = post()
        .header("authorization", format!("DPoP {bound}"))
        .header("dpop", &proof);
    let answer = client.world.send(request, ping_message().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let logged = log.all();
    for text in [&bearer, &bound, &proof] {
        for part in text.split('.') {
            assert!(!logged.contains(part), "{logged}");
        }
    }
}
