//! The keys that sign tokens: how they come, are known before they sign, and go.
//! Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod far;
mod full;
mod kept;
mod master;
mod nodes;
#[cfg(unix)]
mod pooled;
mod rotation;
mod several;
#[path = "../support/mod.rs"]
mod support;
