//! What a node keeps in memory counts as long as nothing has changed: here at once, on other nodes within a second.

use std::time::Duration;

use doorward_jose::Jws;
use doorward_oauth::claims::AccessTokenClaims;
use doorward_store::{Change, EndReason, GrantFilter, STALE_AFTER};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::nodes::{Node, Place, Program, key_of};
use crate::support::Engine;

/// Ways to end a token, each by the node that is given.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Token,
    Grant,
    Client,
}

impl End {
    async fn happen(self, node: &Node, program: &Program, token: &str) {
        let (store, now) = (&node.context.store, node.context.now());
        match self {
            Self::Token => {
                let key = node
                    .context
                    .keys
                    .verification_key(&key_of(token))
                    .expect("a published key");
                let verified = Jws::parse(token).unwrap().verify(&key).unwrap();
                let claims: AccessTokenClaims = verified.claims().unwrap();
                assert!(store.revoke_issuance(&claims.jti, now).await.unwrap());
            }
            Self::Grant => {
                let all = GrantFilter::default();
                let reason = EndReason::RevokedByAdmin;
                assert_eq!(store.revoke_grants(all, reason, now).await.unwrap(), 1);
            }
            Self::Client => {
                let mut client = store.client(&program.client_id).await.unwrap().unwrap();
                client.disabled = true;
                store.update_client(client).await.unwrap();
            }
        }
    }
}

/// Two nodes.
pub async fn two(place: &Place) -> [Node; 2] {
    [place.node().await, place.node().await]
}

/// Another client that may see the token: its own asks otherwise, and may be disabled.
async fn guard_of(node: &Node) -> Program {
    let body = serde_json::json!({"client_name": "Guard", "resource_server": "mcp"});
    let reply = node.admin("POST", "/admin/clients", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let body = reply.json();
    Program {
        client_id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn a_token_that_was_seen_to_work_is_inactive_as_soon_as_its_end_was_answered() {
    for end in [End::Token, End::Grant, End::Client] {
        let place = Place::new().await;
        let node = place.node().await;
        let (program, guard) = (node.program().await, guard_of(&node).await);
        let token = node.token(&program).await;
        for _ in 0..3 {
            assert!(node.says_active(&guard, &token).await);
        }
        end.happen(&node, &program, &token).await;
        assert!(!node.says_active(&guard, &token).await, "{end:?}");
        assert!(!node.says_active(&guard, &token).await, "{end:?}");
    }
}

/// More than are read at a time.
#[tokio::test]
async fn a_great_many_ends_between_two_questions_are_all_known() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let mut tokens = Vec::new();
    for _ in 0..300 {
        tokens.push(node.token(&program).await);
    }
    let last = tokens.last().unwrap();
    assert!(node.says_active(&guard, last).await);
    for token in &tokens {
        End::Token.happen(&node, &program, token).await;
    }
    assert!(!node.says_active(&guard, last).await);
}

#[tokio::test]
async fn what_ended_with_another_grant_does_not_end_a_token_that_was_seen_to_work() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let (first, second) = (node.token(&program).await, node.token(&program).await);
    assert!(node.says_active(&guard, &first).await);
    assert!(node.says_active(&guard, &second).await);
    End::Token.happen(&node, &program, &first).await;
    assert!(!node.says_active(&guard, &first).await);
    assert!(node.says_active(&guard, &second).await);
}

#[tokio::test]
async fn a_token_that_was_seen_to_work_ends_with_its_time_and_its_key() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let token = node.token(&program).await;
    assert!(node.says_active(&guard, &token).await);
    node.context.keys.revoke(&key_of(&token)).await.unwrap();
    assert!(!node.says_active(&guard, &token).await);

    let token = node.token(&program).await;
    assert!(node.says_active(&guard, &token).await);
    place.wait(86_400);
    assert!(!node.says_active(&guard, &token).await);
}

#[tokio::test]
async fn a_token_that_was_signed_here_ends_with_its_key_before_anybody_asked() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let token = node.token(&program).await;
    node.context.keys.revoke(&key_of(&token)).await.unwrap();
    assert!(!node.says_active(&guard, &token).await);
}

#[tokio::test]
async fn a_token_is_known_where_it_was_signed_and_after_a_restart_by_its_signature() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let token = node.token(&program).await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    assert!(!node.says_active(&guard, &forged).await);
    assert!(node.says_active(&guard, &token).await);
    drop(node);
    let node = place.node().await;
    assert!(!node.says_active(&guard, &forged).await);
    assert!(node.says_active(&guard, &token).await);
}

#[tokio::test]
async fn who_may_not_see_a_token_learns_nothing_from_what_others_asked() {
    let place = Place::new().await;
    let node = place.node().await;
    let (program, guard) = (node.program().await, guard_of(&node).await);
    let body = serde_json::json!({"client_name": "Stranger", "grant_types": ["client_credentials"]});
    let reply = node.admin("POST", "/admin/clients", body).await;
    let body = reply.json();
    let stranger = Program {
        client_id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().unwrap().to_owned(),
    };
    let token = node.token(&program).await;
    assert!(node.says_active(&guard, &token).await);
    assert!(!node.says_active(&stranger, &token).await);
    assert!(node.says_active(&program, &token).await);
}

#[tokio::test]
async fn a_client_without_its_secret_or_disabled_gets_nothing_as_soon_as_that_was_answered() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    node.token(&program).await;
    let store = &node.context.store;
    let client = store.client(&program.client_id).await.unwrap().unwrap();
    let mut without = client.clone();
    without.secrets.clear();
    store.update_client(without).await.unwrap();
    assert_eq!(
        node.ask_for_token(&program).await.status,
        StatusCode::UNAUTHORIZED
    );
    store.update_client(client.clone()).await.unwrap();
    node.token(&program).await;
    let mut disabled = client;
    disabled.disabled = true;
    store.update_client(disabled).await.unwrap();
    assert_eq!(
        node.ask_for_token(&program).await.status,
        StatusCode::UNAUTHORIZED
    );
}

/// Asks until it is so; how long after the beginning the last one asked who was told otherwise, if anybody was.
pub async fn until(what: impl AsyncFn() -> bool) -> Duration {
    let (begun, mut otherwise) = (Instant::now(), Duration::ZERO);
    loop {
        // Before the question: the time that an answer takes makes nothing older.
        let asked = begun.elapsed();
        if what().await {
            return otherwise;
        }
        otherwise = asked;
        assert!(asked < Duration::from_secs(20), "never");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Only PostgreSQL has several nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_ends_another_one_refuses_within_a_second() {
    if !Engine::is_postgres() {
        return;
    }
    for end in [End::Token, End::Grant, End::Client] {
        assert_refused_elsewhere_in_time(&Place::new().await, end).await;
    }
}

/// What one of two nodes ends, the other one refuses within a second.
pub async fn assert_refused_elsewhere_in_time(place: &Place, end: End) {
    let [here, there] = two(place).await;
    let (program, guard) = (here.program().await, guard_of(&here).await);
    let token = here.token(&program).await;
    until(async || there.says_active(&guard, &token).await).await;
    assert!(there.says_active(&guard, &token).await);
    end.happen(&here, &program, &token).await;
    let ended = Instant::now();
    let old = until(async || !there.says_active(&guard, &token).await).await;
    assert!(old <= STALE_AFTER, "{end:?}: {old:?}");
    if matches!(end, End::Client) {
        let since = ended.elapsed();
        let old =
            until(async || there.ask_for_token(&program).await.status == StatusCode::UNAUTHORIZED).await;
        assert!(old.is_zero() || since + old <= STALE_AFTER, "{since:?} {old:?}");
    }
}

/// Only PostgreSQL has several nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_one_node_withdraws_another_one_publishes_no_more_within_a_second() {
    if Engine::is_postgres() {
        assert_withdrawn_elsewhere_in_time(&Place::new().await).await;
    }
}

/// Without waiting for the look that a node takes every second by itself.
pub async fn assert_withdrawn_elsewhere_in_time(place: &Place) {
    let [here, there] = two(place).await;
    let program = here.program().await;
    let withdrawn = key_of(&here.token(&program).await);
    assert!(there.published().await.contains(&withdrawn));
    here.context.keys.revoke(&withdrawn).await.unwrap();
    let old = until(async || !there.published().await.contains(&withdrawn)).await;
    assert!(old <= STALE_AFTER, "{old:?}");
}

/// Only PostgreSQL has several nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_key_that_one_node_deleted_another_one_refuses() {
    if !Engine::is_postgres() {
        return;
    }
    let place = Place::new().await;
    let [here, there] = two(&place).await;
    let made = here
        .admin("POST", "/admin/admin-keys", json!({"name": "ada"}))
        .await
        .json();
    let key = made["key"].as_str().unwrap();
    assert_eq!(there.admin_keys(key).await.status, StatusCode::OK);
    let path = format!("/admin/admin-keys/{}", made["id"].as_str().unwrap());
    let deleted = here.admin("DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
    assert_eq!(there.admin_keys(key).await.status, StatusCode::UNAUTHORIZED);
}

/// Only on PostgreSQL can others change the table at the same time. What is used up for a token that nobody can sign could not
/// be had again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_recorded_for_a_token_when_the_keys_cannot_be_read() {
    if !Engine::is_postgres() {
        return;
    }
    let place = Place::new().await;
    let [here, there] = two(&place).await;
    let program = here.program().await;
    here.token(&program).await;
    let url: &str = &place.settings.storage.url;
    let (db, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let tokens = async || -> i64 {
        let count = "SELECT count(*) FROM issuance";
        db.query_one(count, &[]).await.unwrap().get(0)
    };
    let changes = here.context.store.changes();
    let before = changes.version(Change::SigningKeys);
    there.context.keys.rotate().await.unwrap();
    until(async || changes.version(Change::SigningKeys) != before).await;
    let (away, back) = (
        "ALTER TABLE signing_key RENAME TO away",
        "ALTER TABLE away RENAME TO signing_key",
    );
    db.batch_execute(away).await.unwrap();
    let refused = here.ask_for_token(&program).await;
    assert!(refused.status.is_server_error(), "{refused:?}");
    assert_eq!(tokens().await, 1);
    db.batch_execute(back).await.unwrap();
    here.token(&program).await;
    assert_eq!(tokens().await, 2);
}
