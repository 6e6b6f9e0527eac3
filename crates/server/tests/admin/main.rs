//! The operators' API: the catalogue's section ADMIN as far as it is built, and what an operator expects.

#![cfg(test)]

mod access;
mod addresses;
mod admin_keys;
mod changes;
mod clients;
mod conditional;
mod document;
mod input;
mod operator;
mod records;
#[path = "../support/mod.rs"]
mod support;
