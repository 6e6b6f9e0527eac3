//! The guard through its real layer. Time is virtual (tokio's paused clock) and the authorization server is a fake
//! that counts what it is asked for. Numbers like RS-018 are rows of the project's catalogue of security cases.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod acceptance;
mod at_once;
mod audit;
mod browser;
mod client;
mod clocks;
mod conformance;
mod connections;
mod credentials;
mod dpop;
mod flood;
mod http;
mod issuers;
mod keys;
mod lists;
mod login;
mod metadata;
mod mistakes;
mod revocation;
mod rmcp_server;
mod rows;
mod scopes;
mod sessions;
mod streams;
mod support;
mod tokens;
mod transport;
mod verifiers;
mod visit;
