//! Signing in and out.

mod endpoint;
mod known_browser;
pub mod logout;
mod passwords;
pub mod sessions;
mod throttle;

pub use endpoint::{get, post};
pub use passwords::{PasswordError, Passwords};
