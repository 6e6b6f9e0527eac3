//! Keys: the master key outside the database, and under it the signing keys and the server's own secrets.

mod error;
mod master;
mod ring;
mod secrets;

pub use error::KeyError;
pub use master::{MasterKey, MasterKeyError};
pub use ring::KeyRing;
pub use secrets::Secrets;
