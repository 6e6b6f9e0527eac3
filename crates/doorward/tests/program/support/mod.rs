//! Runs the program, and plays the browser and the client that talk to it.

mod browser;
mod client;
#[path = "../../../../store/tests/engines/postgres/cluster.rs"]
pub(crate) mod cluster;
mod contents;
mod place;
#[path = "../../../../store/tests/engines/postgres/ports.rs"]
mod ports;
mod process;
#[path = "../../../../store/tests/engines/short_waits.rs"]
mod short_waits;

use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

pub use browser::{Browser, Page};
pub use client::{Client, Tokens, VERIFIER};
pub use contents::database_contents;
pub use place::{ADMIN_KEY, EMAIL, MASTER_KEY, PASSWORD, Place, RESOURCE};
pub use ports::free_port;
pub use process::{Finished, Process, Server};
pub use short_waits::within;

/// How long anything may take before the test fails. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// After SIGTERM a request that has begun is waited for so long, and nothing else is.
pub const FOR_STALLED: Duration = Duration::from_secs(8);
/// How far apart [`eventually`] asks.
pub const POLL: Duration = Duration::from_millis(10);

/// An HTTP client that follows no redirects and keeps no cookies.
pub fn http() -> reqwest::Client {
    http_with(|builder| builder)
}

/// The same, with other options.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' one place for an HTTP client"
)]
pub fn http_with(change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
    // A second call changes nothing.
    let _ = rustls::crypto::CryptoProvider::install_default(rustls::crypto::aws_lc_rs::default_provider());
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE);
    change(builder).build().unwrap()
}

/// Asks until the answer is `Some`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// The claims of an access token, unverified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWS");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A number below `bound`, another one every time.
pub fn random_below(bound: usize) -> usize {
    use std::hash::{BuildHasher as _, RandomState};
    usize::try_from(RandomState::new().hash_one(0) % bound as u64).unwrap()
}
