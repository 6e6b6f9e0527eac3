//! The machine side of the token endpoint: client authentication, `client_credentials`, token exchange, bound tokens.
//! Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod assertions;
mod attacks;
mod audiences;
mod credentials;
mod dpop;
mod exchange;
mod followers;
mod id_jag;
mod id_jag_tokens;
mod id_tokens;
mod issuer_keys;
mod leaps;
mod machine;
mod newcomers;
mod pushed;
mod refusals;
mod secrets;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod trusted;
mod trusted_issuers;
mod vouching;
mod workloads;
