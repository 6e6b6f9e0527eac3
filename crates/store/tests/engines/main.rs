//! Engines against what a store has to do, the embedded engine against its file and `kill -9`, and PostgreSQL
//! against several nodes and a server that dies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail like the test"
)]

mod conformance;
#[cfg(unix)]
mod crash;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod postgres;
mod rotation_model;
mod short_waits;
mod sqlite;
