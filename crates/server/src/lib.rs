//! The Doorward authorization server as a library: two axum routers, one for the public, one for operators.

pub mod config;
pub mod context;
pub mod http;
pub mod keys;
pub mod maintenance;
pub mod random;
pub mod reload;

mod admin;
mod audit;
mod authorization_server;
mod authorize;
#[cfg(test)]
mod captured;
mod clients;
mod device;
mod discovery;
mod dpop;
mod email;
mod events;
mod introspect;
mod issue;
mod jobs;
mod limits;
mod login;
mod names;
mod pages;
mod prefix;
mod resources;
mod revoke;
mod routes;
mod shown;
mod storage;
#[cfg(test)]
#[path = "../tests/support/engine.rs"]
mod test_engine;
mod token;
mod trust;

pub use admin::{AdminKeyOffer, openapi as admin_openapi};
pub use authorization_server::{AuthorizationServer, Routers, StartError};
#[doc(hidden)]
pub use routes::bare_routers;
pub use routes::{Audience, Endpoint, admin_endpoints, public_endpoints};

// The tests of jobs, which are inside, share the databases of those outside.
#[cfg(test)]
extern crate self as doorward_server;
