//! Under which issuer's name the database is served.

use rusqlite::Connection;

use super::statements::{Run, statements};
use crate::Result;

statements! {
    SERVED = "SELECT issuer FROM served WHERE id = 1";
    SERVE = "INSERT INTO served (id, issuer) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET issuer = excluded.issuer";
}

/// The name before, if it was another one.
pub(super) fn serve_as(db: &Connection, issuer: &str) -> Result<Option<String>> {
    let before: Option<String> = db.find(SERVED, [], |row| row.get(0))?;
    if before.as_deref() != Some(issuer) {
        db.run(SERVE, [issuer])?;
    }
    Ok(before.filter(|before| before != issuer))
}
