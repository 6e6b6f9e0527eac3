//! The command line's own HTTP client: for the admin API, the health check and the walk of `dev`. What
//! others choose is fetched by `doorward-fetch`, never from here.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;

/// An address that paths are put behind; `None` when it is none of HTTP.
pub fn base(url: &str) -> Option<&str> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    is_http.then(|| url.trim_end_matches('/'))
}

/// A client that follows no redirects and keeps no cookies.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the command line's one place for an HTTP client"
)]
pub fn build() -> anyhow::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // reqwest asks for the process default when it sets up TLS; a second call changes nothing.
    let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
    Ok(reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        // Known apart: nothing was sent to whom nobody could connect.
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
        .build()?)
}
