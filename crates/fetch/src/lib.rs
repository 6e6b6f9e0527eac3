//! Outbound HTTP to addresses that others chose: client ID metadata documents, key sets, server metadata.
//!
//! A URL that a stranger hands in must not become a way into the network this process stands in. So:
//! `https` only, no redirects, no proxy unless the operator names one ([`FetchPolicy::proxy`]), no cookies, one connection a request; the port is 443 or an
//! unprivileged one that no well-known other protocol uses; the host's addresses are checked **inside**
//! the resolver of the HTTP client, so that the checked address is the connected address, and every
//! answer must be public ([`is_public_address`]). The answer is bounded in time and size and must be JSON.
//!
//! What came back is cached as HTTP says, within bounds; failures for a few seconds. Many callers who want
//! the same document make one request. Forms ([`Fetcher::post_form`]) go the same guarded way, each exactly once.
//!
//! ```no_run
//! # async fn example() -> Result<(), doorward_fetch::FetchError> {
//! use std::sync::Arc;
//! use doorward_fetch::{FetchPolicy, Fetcher, Limits};
//! use doorward_oauth::time::SystemClock;
//!
//! let fetcher = Fetcher::new(FetchPolicy::default(), Arc::new(SystemClock))?;
//! let document = fetcher.get_json("https://app.example/client.json", &Limits::default()).await?;
//! println!("{} bytes", document.body.len());
//! # Ok(()) }
//! ```

#![deny(missing_docs)]

mod address;
mod cache;
mod client;
mod error;
mod fetcher;
mod form;
mod policy;
mod process;
mod request;
mod resolver;
mod stream;
mod target;
mod tls;

pub use address::is_public_address;
pub use cache::Fetched;
pub use error::FetchError;
pub use fetcher::{Fetcher, Held};
pub use form::{FormAnswer, FormRequest};
pub use policy::{AllowedHost, FetchPolicy, InvalidAllowedHost, InvalidProxy, Limits, Proxy};
pub use process::PerProcess;
pub use resolver::{Resolver, SystemResolver};
pub use stream::{EventStream, StreamRequest};
