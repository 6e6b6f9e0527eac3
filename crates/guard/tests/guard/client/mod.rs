//! The guard as an OAuth client, against an authorization server on loopback and against a scripted transport. "Row"
//! numbers are those of the acceptance list.

mod credentials;
mod dpop;
mod endings;
mod exchange;
mod limits;
mod metadata;
mod rmcp_clients;
mod rmcp_consent;
mod rmcp_mail;
mod support;
mod tokens;
mod wire;
