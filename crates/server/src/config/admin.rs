//! `[admin]`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;

use super::section::section;

section! {
    /// The operators' server: the admin API and the metrics. Keep it off the public network.
    pub struct Admin in "admin" {
        /// The address on which the operators' server listens.
        address: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9001)),
        /// An admin key that works as long as it is set; without it one is made at the first start and printed once.
        bootstrap_key: Option<SecretString> = None,
        /// A file that holds `bootstrap_key`, and that nobody else can read: mode 0600, or 0440 where somebody else owns it, as a container's platform does.
        bootstrap_key_file: Option<PathBuf> = None,
    }
}
