//! The fetcher against servers on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod addresses;
mod answers;
mod cache;
mod forms;
mod proxy;
mod runtimes;
#[path = "../../../store/tests/engines/short_waits.rs"]
mod short_waits;
mod slots;
mod streams;
mod support;
