//! The standards' own terms, for bindings and tools that have the guard and nothing beside it.

pub use doorward_oauth::{challenge, dpop, error, issuer, resource, scope, time};
