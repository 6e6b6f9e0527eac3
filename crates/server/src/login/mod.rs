//! Signing in and out.

mod endpoint;
mod known_browser;
pub(crate) mod logout;
mod passwords;
pub(crate) mod sessions;
mod throttle;

pub(crate) use endpoint::{get, post};
pub(crate) use passwords::{PasswordError, Passwords};
