//! `/login` and `/logout`.

#![cfg(test)]

mod passwords;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod waits;
