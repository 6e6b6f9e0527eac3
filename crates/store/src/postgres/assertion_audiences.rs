//! Other authorization servers that get identity assertions of this one.

use super::errors::Fallible;
use super::statements::{Connection, find as row, list as rows, run, statements};
use super::values::{Columns, can_be_stored};
use crate::{AssertionAudience, StoreError};

macro_rules! columns {
    () => {
        "slug, issuer, terms, disabled, created_at, updated_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO assertion_audience (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM assertion_audience WHERE slug = $1");
    BY_URL = concat!("SELECT ", columns!(), " FROM assertion_audience WHERE issuer = $1");
    ALL scans = concat!("SELECT ", columns!(), " FROM assertion_audience ORDER BY slug");
    UPDATE = "UPDATE assertion_audience SET terms = $2, disabled = $3, updated_at = $4 WHERE slug = $1";
    DELETE = "DELETE FROM assertion_audience WHERE slug = $1";
}

fn read(columns: &mut Columns<'_>) -> Fallible<AssertionAudience> {
    Ok(AssertionAudience {
        slug: columns.plain()?,
        issuer: columns.plain()?,
        terms: columns.plain()?,
        disabled: columns.plain()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

pub(super) async fn create(db: &Connection, audience: &AssertionAudience) -> Fallible<()> {
    run(
        db,
        INSERT,
        &[
            &audience.slug,
            &audience.issuer,
            &audience.terms,
            &audience.disabled,
            &audience.created_at.0,
            &audience.updated_at.0,
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find(db: &Connection, slug: &str) -> Fallible<Option<AssertionAudience>> {
    if !can_be_stored(slug) {
        return Ok(None);
    }
    row(db, BY_SLUG, &[&slug], read).await
}

pub(super) async fn find_by_url(db: &Connection, issuer: &str) -> Fallible<Option<AssertionAudience>> {
    if !can_be_stored(issuer) {
        return Ok(None);
    }
    row(db, BY_URL, &[&issuer], read).await
}

pub(super) async fn list(db: &Connection) -> Fallible<Vec<AssertionAudience>> {
    rows(db, ALL, &[], read).await
}

pub(super) async fn update(db: &Connection, audience: &AssertionAudience) -> Fallible<()> {
    let AssertionAudience {
        slug,
        terms,
        disabled,
        updated_at,
        ..
    } = audience;
    match run(db, UPDATE, &[slug, terms, disabled, &updated_at.0]).await? {
        0 => Err(StoreError::NotFound.into()),
        _ => Ok(()),
    }
}

pub(super) async fn delete(db: &Connection, slug: &str) -> Fallible<bool> {
    if !can_be_stored(slug) {
        return Ok(false);
    }
    Ok(run(db, DELETE, &[&slug]).await? > 0)
}
