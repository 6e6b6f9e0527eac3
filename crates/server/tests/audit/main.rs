//! `/admin/audit`: everything that was changed or refused is told, with who and from where, and without secrets.

#![cfg(test)]

mod clients;
mod counted;
mod everywhere;
#[path = "../../../store/tests/engines/conformance/operations.rs"]
mod operations;
mod operators;
mod people;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod told;
