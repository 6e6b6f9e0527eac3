//! What an operator learns of decisions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use doorward_guard::{AuditHook, Decision, DpopPolicy, Reason, Rejection, Verdict};
use http::StatusCode;
use serde_json::{Value, json};

use crate::dpop::Bound;
use crate::support::{START, World, call, ping_message, post};

#[derive(Default)]
struct Log(Mutex<Vec<Value>>);

impl AuditHook for Log {
    fn on_decision(&self, decision: &Decision<'_>) {
        let (verdict, error_id, needed) = match decision.verdict {
            Verdict::Refused {
                reason,
                error_id,
                needed,
                ..
            } => (reason.as_str(), Some(error_id), needed.map(ToString::to_string)),
            _ => ("allowed", None, None),
        };
        let claims = decision.claims;
        self.0.lock().unwrap().push(json!({
            "at": decision.at.seconds() - START,
            "subject": claims.map(|claims| &claims.subject),
            "client": claims.map(|claims| &claims.client_id),
            "grant": claims.and_then(|claims| claims.grant_id.as_ref()),
            "actors": claims.map(|claims| claims.actors().map(|actor| actor.sub.clone()).collect::<Vec<_>>()),
            "method": decision.method, "target": decision.target,
            "verdict": verdict, "error_id": error_id, "needed": needed,
        }));
    }
}

impl Log {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn logged() -> (World, Arc<Log>) {
    let log = Arc::new(Log::default());
    let hook = Arc::clone(&log);
    (World::with(|builder| builder.on_decision(hook)), log)
}

#[tokio::test(start_paused = true)]
async fn a_tool_call_is_told_with_who_for_whom_and_what() {
    let (world, log) = logged();
    let act = json!({"sub": "agent-2", "act": {"sub": "agent-1"}});
    let token = world.token_with(&json!({"act": act}));
    world.post(&token, &call("echo")).await;
    let mut events = log.take();
    let at = events[0]["at"].take().as_i64().unwrap();
    assert!((0..2).contains(&at));
    let expected = json!({
        "at": null, "subject": "alice", "client": "client-1", "grant": "grant-1", "actors": ["agent-2", "agent-1"],
        "method": "tools/call", "target": "echo", "verdict": "allowed", "error_id": null, "needed": null,
    });
    assert_eq!(events, [expected]);
}

#[tokio::test(start_paused = true)]
async fn every_message_of_a_refused_batch_is_told_with_reason_and_error_id() {
    let (world, log) = logged();
    let resource = json!({"jsonrpc": "2.0", "id": 2, "method": "resources/read", "params": {"uri": "x:y"}});
    let answer = world
        .post(&world.token(), &json!([call("write"), resource]))
        .await;
    let error_id = answer.json()["error_id"].clone();
    assert!(error_id.as_str().is_some_and(|id| !id.is_empty()));
    let events = log.take();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                &event["target"],
                &event["verdict"],
                &event["error_id"],
                &event["needed"],
            )
        })
        .collect();
    let (reason, needed) = (json!("insufficient_scope"), json!("mcp:read mcp:write"));
    assert_eq!(
        told,
        [
            (&json!("write"), &reason, &error_id, &needed),
            (&json!("x:y"), &reason, &error_id, &needed)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_before_the_body_is_read_are_told_without_a_method() {
    let (world, log) = logged();
    world.send(post(), "").await;
    let expired = world.token_with(&json!({"exp": world.now() - 100}));
    world.post(&expired, &call("echo")).await;
    let request = post().header("authorization", format!("Bearer {}", world.token()));
    world.send(request, "{").await;
    let events = log.take();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["verdict"].as_str().unwrap(),
                event["method"].is_null(),
                event["subject"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("no_credentials", true, None),
            ("token_expired", true, None),
            ("not_json", true, Some("alice"))
        ]
    );
}

/// The last check comes before the word "allowed".
#[tokio::test(start_paused = true)]
async fn a_replayed_proof_is_told_as_refused_with_its_tool() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let hook = move |decision: &Decision<'_>| {
        let allowed = matches!(decision.verdict, Verdict::Allowed);
        sink.lock()
            .unwrap()
            .push((decision.target.map(str::to_owned), allowed));
    };
    let client = Bound::with(DpopPolicy::Accept, |builder| builder.on_decision(Arc::new(hook)));
    let token = client.token();
    let proof = client.proof(&token);
    for _ in 0..2 {
        let request = post()
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", &proof);
        client.world.send(request, call("echo").to_string()).await;
    }
    let echo = || Some("echo".to_owned());
    assert_eq!(*log.lock().unwrap(), [(echo(), true), (echo(), false)]);
}

#[tokio::test(start_paused = true)]
async fn decisions_are_counted_by_reason() {
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    }
    world.post(&world.token(), &call("write")).await;
    world.post("nonsense", &ping_message()).await;
    world.send(post(), "").await;
    world
        .send(post().header("origin", "https://evil.example"), "")
        .await;
    let metrics = world.guard.metrics();
    assert_eq!(metrics.allowed, 3);
    let counted: Vec<_> = metrics.refused.into_iter().collect();
    assert_eq!(
        counted,
        [
            ("insufficient_scope", 1),
            ("no_credentials", 1),
            ("origin", 1),
            ("token_malformed", 1)
        ]
    );
    assert_eq!(Reason::Token(Rejection::Malformed).as_str(), "token_malformed");
}

/// Whoever counts or alerts by these names finds all of them in the book, and no others.
#[test]
fn the_book_names_every_reason() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).unwrap()
    };
    let in_code: BTreeSet<String> = [read("src/reason.rs"), read("src/verify.rs")]
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.split_once("::")?.1.split_once("=> \"")?.1.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(in_code.len() > 50 && in_code.contains("token_scope") && in_code.contains("proof_nonce"));
    let page = read("../../docs/src/how-to/audit.md");
    let table = page
        .split_once("| name | answer |")
        .unwrap()
        .1
        .split_once("## ")
        .unwrap()
        .0;
    let in_book: BTreeSet<String> = table
        .lines()
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(in_code, in_book);
}
