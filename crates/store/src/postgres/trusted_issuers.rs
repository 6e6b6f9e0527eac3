//! Issuers whose word counts here, and whom they mean.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find as row, list as rows, run, statements};
use super::values::{Columns, can_be_stored, only};
use super::{grants, users};
use crate::rules::pages::{page, rows_to_fetch};
use crate::rules::words::Word;
use crate::{LinkedSubject, Page, PageRequest, StoreError, TrustedIssuer, TrustedIssuerKind, User, UserId};

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
    INSERT = concat!("INSERT INTO trusted_issuer (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM trusted_issuer WHERE slug = $1");
    BY_URL = concat!("SELECT ", columns!(), " FROM trusted_issuer WHERE issuer = $1 AND kind = $2");
    ALL scans = concat!("SELECT ", columns!(), " FROM trusted_issuer ORDER BY slug");
    UPDATE = "UPDATE trusted_issuer SET terms = $2, disabled = $3, updated_at = $4 WHERE slug = $1";
    DELETE = "DELETE FROM trusted_issuer WHERE slug = $1";
    /// Changing and removing wait until those who rest on the issuer have ended.
    HOLD = "SELECT NOT disabled AND terms = $2 FROM trusted_issuer WHERE slug = $1 FOR SHARE";
    HOLD_TO_LINK = "SELECT 1 FROM trusted_issuer WHERE slug = $1 FOR SHARE";
    HOLD_LINK = "SELECT user_id = $3 FROM linked_subject WHERE trusted_issuer = $1 AND subject = $2 FOR SHARE";
    INSERT_LINK = concat!("INSERT INTO linked_subject (", link_columns!(), ") VALUES ($1, $2, $3, $4)");
    LINK = concat!("SELECT ", link_columns!(), " FROM linked_subject WHERE trusted_issuer = $1 AND subject = $2");
    LINKS_AFTER = concat!(
        "SELECT ", link_columns!(), " FROM linked_subject WHERE trusted_issuer = $1 AND subject > $2 \
         ORDER BY subject LIMIT $3"
    );
    HOLD_LINKS = "SELECT 1 FROM linked_subject WHERE user_id = $1 FOR UPDATE";
    DELETE_LINK = "DELETE FROM linked_subject WHERE trusted_issuer = $1 AND subject = $2";
}

fn read(columns: &mut Columns<'_>) -> Fallible<TrustedIssuer> {
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

fn read_link(columns: &mut Columns<'_>) -> Fallible<LinkedSubject> {
    Ok(LinkedSubject {
        trusted_issuer: columns.plain()?,
        subject: columns.plain()?,
        user: columns.user()?,
        created_at: columns.time()?,
    })
}

pub(super) async fn create(db: &Connection, issuer: &TrustedIssuer) -> Fallible<()> {
    run(
        db,
        INSERT,
        &[
            &issuer.slug,
            &issuer.kind.word(),
            &issuer.issuer,
            &issuer.terms,
            &issuer.disabled,
            &issuer.created_at.0,
            &issuer.updated_at.0,
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find(db: &Connection, slug: &str) -> Fallible<Option<TrustedIssuer>> {
    if !can_be_stored(slug) {
        return Ok(None);
    }
    row(db, BY_SLUG, &[&slug], read).await
}

pub(super) async fn find_by_url(
    db: &Connection,
    issuer: &str,
    kind: TrustedIssuerKind,
) -> Fallible<Option<TrustedIssuer>> {
    if !can_be_stored(issuer) {
        return Ok(None);
    }
    row(db, BY_URL, &[&issuer, &kind.word()], read).await
}

pub(super) async fn list(db: &Connection) -> Fallible<Vec<TrustedIssuer>> {
    rows(db, ALL, &[], read).await
}

/// Whether this issuer is trusted on these terms, and stays so until the transaction ends.
pub(super) async fn hold(db: &Connection, slug: &str, terms: &str) -> Fallible<bool> {
    let stands = row(db, HOLD, &[&slug, &terms], only).await?;
    Ok(stands.unwrap_or(false))
}

/// Whether the issuer means this person by that subject, and it stays so until the transaction ends.
pub(super) async fn hold_link(db: &Connection, slug: &str, subject: &str, user: UserId) -> Fallible<bool> {
    let stands = row(db, HOLD_LINK, &[&slug, &subject, &user.0], only).await?;
    Ok(stands.unwrap_or(false))
}

/// How many grants ended by it.
pub(super) async fn update(db: &Connection, issuer: &TrustedIssuer, ends: bool) -> Fallible<u64> {
    let TrustedIssuer {
        slug,
        terms,
        disabled,
        updated_at,
        ..
    } = issuer;
    if run(db, UPDATE, &[slug, terms, disabled, &updated_at.0]).await? == 0 {
        return Err(StoreError::NotFound.into());
    }
    if !ends {
        return Ok(0);
    }
    grants::end_of_issuer(db, slug, *updated_at).await
}

/// The links go with the row (foreign key).
pub(super) async fn delete(db: &Connection, slug: &str, now: UnixSeconds) -> Fallible<u64> {
    run(db, DELETE, &[&slug]).await?;
    grants::end_of_issuer(db, slug, now).await
}

pub(super) async fn link(db: &Connection, link: &LinkedSubject, person: Option<&User>) -> Fallible<()> {
    let issuer = row(db, HOLD_TO_LINK, &[&link.trusted_issuer], |_| Ok(())).await?;
    if issuer.is_none() {
        return Err(StoreError::NotFound.into());
    }
    match person {
        Some(person) => users::create(db, person).await?,
        None if users::find(db, link.user).await?.is_none() => return Err(StoreError::NotFound.into()),
        None => {}
    }
    let LinkedSubject {
        trusted_issuer,
        subject,
        user,
        created_at,
    } = link;
    run(
        db,
        INSERT_LINK,
        &[trusted_issuer, subject, &user.0, &created_at.0],
    )
    .await
    .map(drop)
}

pub(super) async fn find_link(db: &Connection, slug: &str, subject: &str) -> Fallible<Option<LinkedSubject>> {
    if !can_be_stored(slug) || !can_be_stored(subject) {
        return Ok(None);
    }
    row(db, LINK, &[&slug, &subject], read_link).await
}

pub(super) async fn links(
    db: &Connection,
    slug: &str,
    request: &PageRequest,
) -> Fallible<Page<LinkedSubject>> {
    let after = request.after.as_deref().unwrap_or_default();
    if !can_be_stored(slug) || !can_be_stored(after) {
        return Ok(page(Vec::new(), request, |link| link.subject.clone()));
    }
    let limit = i64::from(rows_to_fetch(request));
    let found = rows(db, LINKS_AFTER, &[&slug, &after, &limit], read_link).await?;
    Ok(page(found, request, |link| link.subject.clone()))
}

/// Whose links go with the person: whoever ends the grants of a link holds the link first.
pub(super) async fn hold_links(db: &Connection, user: UserId) -> Fallible<()> {
    rows(db, HOLD_LINKS, &[&user.0], |_| Ok(())).await.map(drop)
}

pub(super) async fn unlink(db: &Connection, slug: &str, subject: &str, now: UnixSeconds) -> Fallible<bool> {
    let Some(link) = find_link(db, slug, subject).await? else {
        return Ok(false);
    };
    run(db, DELETE_LINK, &[&slug, &subject]).await?;
    grants::end_of_issuer_and_user(db, slug, link.user, now).await?;
    Ok(true)
}
