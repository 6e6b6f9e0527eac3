//! The Doorward authorization server as a library: two axum routers, one for the public, one for operators.

pub mod config;
pub mod context;
pub mod http;

mod admin;
mod authorize;
mod clients;
mod discovery;
mod introspect;
mod issue;
mod jobs;
mod keys;
mod login;
mod pages;
pub mod random;
mod resources;
mod revoke;
mod token;
