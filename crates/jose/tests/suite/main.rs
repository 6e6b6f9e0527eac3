//! The crate through its public interface: published vectors, another implementation, attacks, and random input.

mod attacks;
mod differential;
mod json;
mod jwk;
mod jwk_set;
mod jws;
mod properties;
mod rfc_vectors;
mod signing;
mod support;
mod wycheproof;
