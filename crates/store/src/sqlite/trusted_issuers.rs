//! Issuers whose word counts here, and whom they mean.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, users};
use crate::rules::pages::{page, rows_to_fetch};
use crate::rules::words::Word;
use crate::{LinkedSubject, Page, PageRequest, Result, StoreError, TrustedIssuer, TrustedIssuerKind, User};

macro_rules! columns {
    () => {
        "slug, kind, issuer, terms, disabled, created_at, updated_at"
    };
}

macro_rules! link_columns {
    () => {
        "trusted_issuer, subject, user_id, created_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO trusted_issuer (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM trusted_issuer WHERE slug = ?1");
    BY_URL = concat!("SELECT ", columns!(), " FROM trusted_issuer WHERE issuer = ?1 AND kind = ?2");
    ALL scans = concat!("SELECT ", columns!(), " FROM trusted_issuer ORDER BY slug");
    UPDATE = "UPDATE trusted_issuer SET terms = ?2, disabled = ?3, updated_at = ?4 WHERE slug = ?1";
    DELETE = "DELETE FROM trusted_issuer WHERE slug = ?1";
    INSERT_LINK = concat!("INSERT INTO linked_subject (", link_columns!(), ") VALUES (?1, ?2, ?3, ?4)");
    LINK = concat!("SELECT ", link_columns!(), " FROM linked_subject WHERE trusted_issuer = ?1 AND subject = ?2");
    LINKS_AFTER = concat!(
        "SELECT ", link_columns!(), " FROM linked_subject WHERE trusted_issuer = ?1 AND subject > ?2 \
         ORDER BY subject LIMIT ?3"
    );
    DELETE_LINK = "DELETE FROM linked_subject WHERE trusted_issuer = ?1 AND subject = ?2";
}

fn read(row: &Row<'_>) -> rusqlite::Result<TrustedIssuer> {
    let mut columns = Columns::new(row);
    Ok(TrustedIssuer {
        slug: columns.plain()?,
        kind: columns.word()?,
        issuer: columns.plain()?,
        terms: columns.plain()?,
        disabled: columns.plain()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

fn read_link(row: &Row<'_>) -> rusqlite::Result<LinkedSubject> {
    let mut columns = Columns::new(row);
    Ok(LinkedSubject {
        trusted_issuer: columns.plain()?,
        subject: columns.plain()?,
        user: columns.user()?,
        created_at: columns.time()?,
    })
}

pub(super) fn create(db: &Connection, issuer: &TrustedIssuer) -> Result<()> {
    db.run(
        INSERT,
        params![
            issuer.slug,
            issuer.kind.word(),
            issuer.issuer,
            issuer.terms,
            issuer.disabled,
            issuer.created_at.0,
            issuer.updated_at.0,
        ],
    )?;
    Ok(())
}

pub(super) fn find(db: &Connection, slug: &str) -> Result<Option<TrustedIssuer>> {
    Ok(db.find(BY_SLUG, [slug], read)?)
}

pub(super) fn find_by_url(
    db: &Connection,
    issuer: &str,
    kind: TrustedIssuerKind,
) -> Result<Option<TrustedIssuer>> {
    Ok(db.find(BY_URL, params![issuer, kind.word()], read)?)
}

pub(super) fn list(db: &Connection) -> Result<Vec<TrustedIssuer>> {
    Ok(db.list(ALL, [], read)?)
}

/// How many grants ended by it.
pub(super) fn update(db: &Connection, issuer: &TrustedIssuer, ends: bool) -> Result<u64> {
    let TrustedIssuer {
        slug,
        terms,
        disabled,
        updated_at,
        ..
    } = issuer;
    if db.run(UPDATE, params![slug, terms, disabled, updated_at.0])? == 0 {
        return Err(StoreError::NotFound);
    }
    if !ends {
        return Ok(0);
    }
    grants::end_of_issuer(db, slug, *updated_at)
}

/// The links go with the row (foreign key).
pub(super) fn delete(db: &Connection, slug: &str, now: UnixSeconds) -> Result<u64> {
    db.run(DELETE, [slug])?;
    grants::end_of_issuer(db, slug, now)
}

pub(super) fn link(db: &Connection, link: &LinkedSubject, person: Option<&User>) -> Result<()> {
    if find(db, &link.trusted_issuer)?.is_none() {
        return Err(StoreError::NotFound);
    }
    match person {
        Some(person) => users::create(db, person)?,
        None if users::find(db, link.user)?.is_none() => return Err(StoreError::NotFound),
        None => {}
    }
    let LinkedSubject {
        trusted_issuer,
        subject,
        user,
        created_at,
    } = link;
    db.run(
        INSERT_LINK,
        params![trusted_issuer, subject, user.0.as_bytes(), created_at.0],
    )?;
    Ok(())
}

pub(super) fn find_link(db: &Connection, slug: &str, subject: &str) -> Result<Option<LinkedSubject>> {
    Ok(db.find(LINK, [slug, subject], read_link)?)
}

pub(super) fn links(db: &Connection, slug: &str, request: &PageRequest) -> Result<Page<LinkedSubject>> {
    let after = request.after.as_deref().unwrap_or_default();
    let rows = db.list(
        LINKS_AFTER,
        params![slug, after, rows_to_fetch(request)],
        read_link,
    )?;
    Ok(page(rows, request, |link| link.subject.clone()))
}

pub(super) fn unlink(db: &Connection, slug: &str, subject: &str, now: UnixSeconds) -> Result<bool> {
    let Some(link) = find_link(db, slug, subject)? else {
        return Ok(false);
    };
    db.run(DELETE_LINK, [slug, subject])?;
    grants::end_of_issuer_and_user(db, slug, link.user, now)?;
    Ok(true)
}
