use doorward_store::sqlite::SqliteStore;

use super::*;

const DIGEST: [u8; 32] = [7; 32];

fn live_tokens() -> LiveTokens {
    LiveTokens::new(Arc::new(SqliteStore::temporary().unwrap()))
}

fn token() -> LiveToken {
    LiveToken {
        answer: Bytes::from_static(b"{}"),
        audience: "https://mcp.example/mcp".into(),
        client_id: "client".to_owned(),
        expires_at: UnixSeconds(1_800_000_300),
        key_id: "key".to_owned(),
        jti: "jti".to_owned(),
        grant: GrantId(uuid::Uuid::nil()),
        granted_to: "client".to_owned(),
    }
}

async fn moment(tokens: &LiveTokens) -> Moment {
    let caught_up = tokens.catch_up().await.unwrap();
    caught_up.expect("an engine of one process knows what changes")
}

#[tokio::test]
async fn another_log_of_revocations_forgets_every_token() {
    let tokens = live_tokens();
    let now = UnixSeconds(1_800_000_000);
    let before = moment(&tokens).await;
    tokens.keep(DIGEST, before, token());
    assert!(tokens.get(&DIGEST, moment(&tokens).await, now).is_some());
    // Its positions begin anew.
    tokens.store.end_everything(now).await.unwrap();
    moment(&tokens).await;
    assert!(tokens.tokens.is_empty());
}

/// Else it would be answered as active until it expires: nobody reads its end again.
#[tokio::test]
async fn what_may_have_ended_while_it_was_looked_at_is_not_kept() {
    let tokens = live_tokens();
    let before = moment(&tokens).await;
    tokens
        .store
        .end_everything(UnixSeconds(1_800_000_000))
        .await
        .unwrap();
    moment(&tokens).await;
    tokens.keep(DIGEST, before, token());
    assert!(tokens.tokens.is_empty());
}
