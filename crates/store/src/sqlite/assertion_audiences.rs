//! Other authorization servers that get identity assertions of this one.

use rusqlite::{Connection, Row, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::{AssertionAudience, Result, StoreError};

macro_rules! columns {
    () => {
        "slug, issuer, terms, disabled, created_at, updated_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO assertion_audience (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM assertion_audience WHERE slug = ?1");
    BY_URL = concat!("SELECT ", columns!(), " FROM assertion_audience WHERE issuer = ?1");
    ALL scans = concat!("SELECT ", columns!(), " FROM assertion_audience ORDER BY slug");
    UPDATE = "UPDATE assertion_audience SET terms = ?2, disabled = ?3, updated_at = ?4 WHERE slug = ?1";
    DELETE = "DELETE FROM assertion_audience WHERE slug = ?1";
}

fn read(row: &Row<'_>) -> rusqlite::Result<AssertionAudience> {
    let mut columns = Columns::new(row);
    Ok(AssertionAudience {
        slug: columns.plain()?,
        issuer: columns.plain()?,
        terms: columns.plain()?,
        disabled: columns.plain()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

pub(super) fn create(db: &Connection, audience: &AssertionAudience) -> Result<()> {
    db.run(
        INSERT,
        params![
            audience.slug,
            audience.issuer,
            audience.terms,
            audience.disabled,
            audience.created_at.0,
            audience.updated_at.0,
        ],
    )?;
    Ok(())
}

pub(super) fn find(db: &Connection, slug: &str) -> Result<Option<AssertionAudience>> {
    Ok(db.find(BY_SLUG, [slug], read)?)
}

pub(super) fn find_by_url(db: &Connection, issuer: &str) -> Result<Option<AssertionAudience>> {
    Ok(db.find(BY_URL, [issuer], read)?)
}

pub(super) fn list(db: &Connection) -> Result<Vec<AssertionAudience>> {
    Ok(db.list(ALL, [], read)?)
}

pub(super) fn update(db: &Connection, audience: &AssertionAudience) -> Result<()> {
    let AssertionAudience {
        slug,
        terms,
        disabled,
        updated_at,
        ..
    } = audience;
    match db.run(UPDATE, params![slug, terms, disabled, updated_at.0])? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

pub(super) fn delete(db: &Connection, slug: &str) -> Result<bool> {
    Ok(db.run(DELETE, [slug])? > 0)
}
