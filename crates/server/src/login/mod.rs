//! Signing in and out.

pub(crate) mod acr;
mod endpoint;
mod guess;
mod known_browser;
pub(crate) mod logout;
mod passwords;
mod places;
pub(crate) mod sessions;
mod sign_in;
mod throttle;

pub(crate) use endpoint::{get, post};
pub(crate) use guess::Guess;
pub(crate) use passwords::{PasswordError, Passwords};
