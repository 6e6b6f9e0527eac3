//! `POST /oauth/register`. Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod admission;
mod asking;
mod clients;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
