//! The other ways to a grant (pushed requests, devices, several resources), and what belongs to them: clients that
//! manage their registration, policies of resources, limits. Names in brackets are the rows of the security catalogue
//! that a test covers.

#![cfg(test)]

mod device;
mod device_page;
mod elsewhere;
mod limits;
mod management;
mod par;
mod policy;
mod scope_memory;
mod several;
mod sizes;
#[path = "../support/mod.rs"]
mod support;
