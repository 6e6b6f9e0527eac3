#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod error;
pub mod issuer;
pub mod parameters;
pub mod pkce;
pub mod resource;
pub mod scope;
pub mod time;
mod uri;
