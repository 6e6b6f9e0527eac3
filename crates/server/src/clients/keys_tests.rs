use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{FetchPolicy, Fetcher};
use doorward_jose::{Algorithm, Jws, SigningKey, sign};
use doorward_oauth::time::{Clock, ManualClock, UnixSeconds};
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{KeySets, NoKey};

/// One request at a time, and nobody waits.
fn key_sets() -> (KeySets, Fetcher) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(UnixSeconds(1_800_000_000)));
    let policy = FetchPolicy {
        allow_loopback_http: true,
        max_concurrent_per_host: 1,
        max_waiting_per_host: 0,
        ..FetchPolicy::default()
    };
    let fetcher = Fetcher::new(policy, Arc::clone(&clock)).unwrap();
    (KeySets::new(clock), fetcher)
}

/// Clients throw their registration away when they are told that they are not who they are.
#[tokio::test]
async fn a_key_that_nobody_was_asked_for_is_asked_for_at_once_when_there_is_room() {
    let server = MockServer::start().await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let set = json!({ "keys": [key.public_jwk()] });
    Mock::given(path("/slow"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(&set)
                .set_delay(Duration::from_millis(500)),
        )
        .mount(&server)
        .await;
    Mock::given(path("/other"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&set))
        .mount(&server)
        .await;
    let token = sign(&key, "JWT", &json!({})).unwrap();
    let jws = Jws::parse(&token).unwrap();
    let (sets, fetcher) = key_sets();
    let (slow, other) = (
        format!("{}/slow", server.uri()),
        format!("{}/other", server.uri()),
    );
    let (first, second) = tokio::join!(
        biased;
        sets.find(&fetcher, &slow, jws.header()),
        sets.find(&fetcher, &other, jws.header())
    );
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(NoKey::Busy));
    assert!(sets.find(&fetcher, &other, jws.header()).await.is_ok());
}
