//! `GET /events/revocations`: what was revoked, told as it happens to resource servers that check tokens without
//! asking.

mod connection;
mod endpoint;
mod feed;
mod frames;

pub(crate) use endpoint::{endpoint, posted};
pub(crate) use feed::RevocationFeed;
