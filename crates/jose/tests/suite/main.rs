//! The crate through its public interface: published vectors, another implementation, attacks, and random input.

mod attacks;
mod differential;
mod json;
mod jwk;
mod jwk_set;
mod jws;
mod pem;
mod properties;
mod rfc_vectors;
mod shared_secret;
mod signing;
mod support;
mod wycheproof;
