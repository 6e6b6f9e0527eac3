//! Keys: the master key outside the database, and under it the signing keys and the server's own secrets.

pub(crate) mod configured;
mod error;
mod master;
mod private_file;
mod published;
mod reseal;
mod ring;
mod sealed;
mod secrets;

pub use error::KeyError;
pub use master::{MasterKey, MasterKeyError};
pub use private_file::write_private_file;
pub(crate) use private_file::{is_open_to_others, read_private_file};
pub(crate) use published::check_published;
pub use reseal::{MasterKeyChange, Resealed};
pub(crate) use reseal::{may_start, opens_all};
pub use ring::{KeyRing, KeySchedule, KeyStatus};
pub use secrets::Secrets;
