//! Which schema steps a database still needs, and which databases this program refuses.

use std::fmt::Write as _;

use super::sha256;
use crate::{Result, StoreError};

/// A numbered step that is part of the program. A released one is never edited: a new one is added.
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// A step of the database: version, name, SHA-256.
pub(crate) type Applied = (i64, String, String);

/// The migrations still to run; an error when what ran is not what this program has.
pub(crate) fn pending<'m>(migrations: &'m [Migration], applied: &[Applied]) -> Result<&'m [Migration]> {
    for (index, (version, name, sha256)) in applied.iter().enumerate() {
        let Some(known) = migrations.get(index) else {
            return Err(StoreError::Unusable(format!(
                "the database has schema step {name}, which this program does not know: run a newer version, or restore a backup from before the upgrade"
            )));
        };
        if *version != known.version || name != known.name {
            return Err(StoreError::Unusable(format!(
                "the database went another way: it has schema step {name} where this program has {}",
                known.name
            )));
        }
        if *sha256 != checksum(known.sql) {
            return Err(StoreError::Unusable(format!(
                "schema step {name} was edited after the database was made with it: restore the file and add a new step instead"
            )));
        }
    }
    Ok(&migrations[applied.len()..])
}

/// SHA-256 in hexadecimal; line ends as in the repository, whatever the checkout did to them.
pub(crate) fn checksum(sql: &str) -> String {
    sha256(sql.replace("\r\n", "\n").as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
