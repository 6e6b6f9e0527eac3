//! `GET /events/revocations`: the feed that tells resource servers what was revoked.

#![cfg(test)]

mod connections;
mod follower;
mod notices;
#[path = "../support/mod.rs"]
mod support;
