//! The fetcher against servers on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod addresses;
mod answers;
mod cache;
mod forms;
mod proxy;
mod runtimes;
mod slots;
mod streams;
mod support;
