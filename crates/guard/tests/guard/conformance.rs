//! Runs the language-neutral vectors of `conformance/` through a whole guard.

use std::path::Path;

use doorward_guard::{Clock, UnixSeconds};
use serde::de::DeserializeOwned;

mod access_tokens;
mod metadata;
mod proofs;
mod resource_scopes;

fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The time of the vectors.
struct At(i64);

impl Clock for At {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.0)
    }
}
