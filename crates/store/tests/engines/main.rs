//! Engines against what a store has to do, and the embedded engine against its file and `kill -9`.
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
mod rotation_model;
mod sqlite;
