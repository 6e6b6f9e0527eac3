//! How a guard learns of revocations: the feed, and asking. The authorization server is a fake on virtual time.

mod blind;
mod clocks;
mod credentials;
mod feed;
mod introspection;
mod issuers;
mod keys;
mod strangers;
pub(crate) mod support;
