//! Signing in on another device (RFC 8628): `POST /oauth/device_authorization` and `/device`. From the page on, a
//! device's request goes the road of every other one: sign in, decide. The poll is in `token/device_code.rs`.

mod authorization;
mod page;
mod user_code;

pub(crate) use authorization::endpoint;
pub(crate) use page::{get, post};
