//! Under which issuer's name the database is served.

use super::errors::Fallible;
use super::statements::{Connection, get, run, statements};
use super::values::only;

statements! {
    FIRST = "INSERT INTO served (id, issuer) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    SERVED = "SELECT issuer FROM served WHERE id = 1 FOR UPDATE";
    RENAME = "UPDATE served SET issuer = $1 WHERE id = 1";
}

/// The name before, if it was another one.
pub(super) async fn serve_as(db: &Connection, issuer: &str) -> Fallible<Option<String>> {
    if run(db, FIRST, &[&issuer]).await? == 1 {
        return Ok(None);
    }
    let before: String = get(db, SERVED, &[], only).await?;
    if before == issuer {
        return Ok(None);
    }
    run(db, RENAME, &[&issuer]).await?;
    Ok(Some(before))
}
