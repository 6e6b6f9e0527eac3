#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod assertion;
pub mod bearer;
pub mod challenge;
pub mod claims;
pub mod client;
pub mod dpop;
pub mod error;
pub mod exchange;
pub mod id_jag;
pub mod issuer;
pub mod metadata;
pub mod parameters;
pub mod pkce;
pub mod redirect;
pub mod resource;
pub mod scope;
pub mod time;
mod uri;
