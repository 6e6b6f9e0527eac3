//! Cases of the security catalogue that go across endpoints. Each test names its own; the page "Catalogue" of the book
//! lists them all, with what shows them.

#![cfg(test)]

mod authentication;
mod connected;
mod issuers;
mod limits;
#[path = "../grants/machine.rs"]
#[expect(dead_code, reason = "the grants' own tests use the rest")]
mod machine;
mod operators;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
