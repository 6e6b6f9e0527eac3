//! Nonces of the server (RFC 9449 §9).

use doorward_guard::{DpopPolicy, GuardBuilder};
use http::StatusCode;
use serde_json::json;

use super::{Bound, sign_proof};
use crate::support::{Answer, pass, ping_message, post};

fn client() -> Bound {
    Bound::with(DpopPolicy::Require, |builder| builder.dpop_nonces(true))
}

impl Bound {
    async fn ping_with_nonce(&self, token: &str, nonce: &str) -> Answer {
        self.ping(token, &self.proof_with(token, &json!({"nonce": nonce})))
            .await
    }

    /// What the server hands out to a client without a nonce.
    async fn nonce(&self, token: &str) -> String {
        let answer = self.ping(token, &self.proof(token)).await;
        assert!(answer.is_bad_proof("use_dpop_nonce"), "{}", answer.body);
        answer.header("dpop-nonce").to_owned()
    }

    fn long_token(&self) -> String {
        self.token_with(&json!({"exp": self.world.now() + 86_400}))
    }
}

/// DPOP-024, row 44.
#[tokio::test(start_paused = true)]
async fn a_client_without_a_nonce_gets_one_and_tries_again() {
    let client = client();
    let token = client.long_token();
    let nonce = client.nonce(&token).await;
    assert_eq!(nonce.len(), 32);
    for _ in 0..3 {
        let answer = client.ping_with_nonce(&token, &nonce).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("dpop-nonce"), "", "a young one will do");
    }
    for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = client.ping_with_nonce(&token, wrong).await;
        assert!(answer.is_bad_proof("use_dpop_nonce"), "{wrong}");
        assert_ne!(answer.header("dpop-nonce"), "");
    }
}

/// The same proof can be asked for again with a nonce: what asks for a nonce spends nothing.
#[tokio::test(start_paused = true)]
async fn asking_for_a_nonce_spends_no_proof() {
    let client = client();
    let token = client.long_token();
    let claims = client.claims(&token, &json!({}));
    let answer = client.ping(&token, &sign_proof(&client.key, &claims)).await;
    let mut retried = claims;
    retried["nonce"] = json!(answer.header("dpop-nonce"));
    let answer = client.ping(&token, &sign_proof(&client.key, &retried)).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// DPOP-026.
#[tokio::test(start_paused = true)]
async fn a_nonce_that_grows_old_is_followed_by_a_new_one() {
    let client = client();
    let token = client.long_token();
    let old = client.nonce(&token).await;
    pass(151).await;
    let answer = client.ping_with_nonce(&token, &old).await;
    assert_eq!(answer.status, StatusCode::OK);
    let new = answer.header("dpop-nonce").to_owned();
    assert_ne!(new, old);
    assert_eq!(client.ping_with_nonce(&token, &old).await.status, StatusCode::OK);
    pass(150).await;
    assert!(
        client
            .ping_with_nonce(&token, &old)
            .await
            .is_bad_proof("use_dpop_nonce")
    );
    assert_eq!(client.ping_with_nonce(&token, &new).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn keys_change_while_clients_keep_working() {
    let client = client();
    let token = client.token_with(&json!({"exp": client.world.now() + 864_000}));
    let mut nonce = client.nonce(&token).await;
    for _ in 0..100 {
        pass(140).await;
        let answer = client.ping_with_nonce(&token, &nonce).await;
        assert_eq!(answer.status, StatusCode::OK);
        if !answer.header("dpop-nonce").is_empty() {
            answer.header("dpop-nonce").clone_into(&mut nonce);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_proof_is_not_sent_for_a_nonce() {
    let client = client();
    let token = client.long_token();
    for changes in [json!({"htm": "GET"}), json!({"ath": null}), json!({"nonce": 1})] {
        let answer = client.ping(&token, &client.proof_with(&token, &changes)).await;
        assert!(answer.is_bad_proof("invalid_dpop_proof"), "{changes}");
        assert_eq!(answer.header("dpop-nonce"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn several_processes_share_nonces_by_sharing_keys() {
    let with_keys = |current: u8, previous: Option<u8>| {
        Bound::with(DpopPolicy::Require, |builder: GuardBuilder| {
            let previous = previous.map(|byte| [byte; 32]);
            builder.dpop_nonces(true).dpop_nonce_keys([current; 32], previous)
        })
    };
    let old = with_keys(1, None);
    let nonce = old.nonce(&old.long_token()).await;
    for (other, expected) in [
        (with_keys(1, None), 200),
        (with_keys(2, Some(1)), 200),
        (with_keys(2, None), 401),
        (client(), 401),
    ] {
        let answer = other.ping_with_nonce(&other.long_token(), &nonce).await;
        assert_eq!(answer.status.as_u16(), expected);
    }
}

/// A page must be able to read the nonce and to send a proof.
#[tokio::test(start_paused = true)]
async fn pages_may_read_the_nonce() {
    let client = client();
    let token = client.long_token();
    let request = post()
        .header("origin", "https://mcp.example")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", client.proof(&token));
    let answer = client.world.send(request, ping_message().to_string()).await;
    assert!(answer.is_bad_proof("use_dpop_nonce"));
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("DPoP-Nonce")
    );
    let preflight = http::Request::options("/mcp")
        .header("origin", "https://mcp.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,dpop");
    let answer = client.world.send(preflight, "").await;
    assert!(answer.header("access-control-allow-headers").contains("DPoP"));
}
