//! `GET /events/revocations`: the feed that tells resource servers what was revoked.

#![cfg(test)]

mod connections;
mod follower;
mod notices;
#[path = "../../../store/tests/engines/short_waits.rs"]
mod short_waits;
#[path = "../support/mod.rs"]
mod support;
