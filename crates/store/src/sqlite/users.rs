//! People.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::statements::{Run, Sql, statements};
use super::values::Columns;
use super::{consents, grants, sessions};
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::{EndReason, Page, PageRequest, Result, StoreError, User, UserId};

macro_rules! columns {
    () => {
        "id, email, name, password_hash, disabled, created_at, updated_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO person (", columns!(), ", email_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    BY_ID = concat!("SELECT ", columns!(), " FROM person WHERE id = ?1");
    BY_EMAIL = concat!("SELECT ", columns!(), " FROM person WHERE email_key = ?1");
    AFTER = concat!("SELECT ", columns!(), " FROM person WHERE id > ?1 ORDER BY id LIMIT ?2");
    UPDATE = "UPDATE person SET email = ?2, name = ?3, password_hash = ?4, disabled = ?5, created_at = ?6, \
              updated_at = ?7, email_key = ?8 WHERE id = ?1";
    DELETE = "DELETE FROM person WHERE id = ?1";
    STANDING = "SELECT disabled FROM person WHERE id = ?1";
}

/// Reads a person from columns that begin where `columns` stands.
pub(super) fn read(columns: &mut Columns<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: columns.user()?,
        email: columns.plain()?,
        name: columns.plain()?,
        password_hash: columns.plain()?,
        disabled: columns.plain()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<User> {
    read(&mut Columns::new(row))
}

pub(super) fn create(db: &Connection, user: &User) -> Result<()> {
    write(db, INSERT, user).map(drop)
}

pub(super) fn find(db: &Connection, id: UserId) -> Result<Option<User>> {
    Ok(db.find(BY_ID, [id.0.as_bytes()], read_row)?)
}

pub(super) fn find_by_email(db: &Connection, email: &str) -> Result<Option<User>> {
    Ok(db.find(BY_EMAIL, [email.to_lowercase()], read_row)?)
}

/// Whether this person is here and not disabled.
pub(super) fn is_enabled(db: &Connection, id: UserId) -> Result<bool> {
    let disabled = db.find(STANDING, [id.0.as_bytes()], |row| row.get::<_, bool>(0))?;
    Ok(disabled == Some(false))
}

pub(super) fn list(db: &Connection, request: &PageRequest) -> Result<Page<User>> {
    let after = page_start(request)?.unwrap_or(Uuid::nil());
    let rows = db.list(AFTER, params![after.as_bytes(), rows_to_fetch(request)], read_row)?;
    Ok(page(rows, request, |user| user.id.0.to_string()))
}

/// How many grants ended by it.
pub(super) fn update(db: &Connection, user: &User, now: UnixSeconds) -> Result<u64> {
    let before = find(db, user.id)?.ok_or(StoreError::NotFound)?;
    write(db, UPDATE, user)?;
    if user.disabled {
        sessions::end_of_user(db, user.id)?;
        let ended = grants::end_of_user(db, user.id, EndReason::UserDisabled, now)?;
        consents::forget_person(db, user.id)?;
        Ok(ended)
    } else if before.password_hash != user.password_hash {
        sessions::end_of_user(db, user.id)?;
        grants::end_pending_of_user(db, user.id, EndReason::SessionEnded, now)
    } else {
        Ok(0)
    }
}

/// Sessions and consents go with the row (foreign keys); the grants are remembered as ended.
pub(super) fn delete(db: &Connection, id: UserId, now: UnixSeconds) -> Result<u64> {
    let ended = grants::end_of_user(db, id, EndReason::UserDisabled, now)?;
    db.run(DELETE, [id.0.as_bytes()])?;
    Ok(ended)
}

fn write(db: &Connection, sql: Sql, user: &User) -> Result<usize> {
    let id: &Uuid = &user.id.0;
    Ok(db.run(
        sql,
        params![
            id.as_bytes(),
            user.email,
            user.name,
            user.password_hash,
            user.disabled,
            user.created_at.0,
            user.updated_at.0,
            user.email.to_lowercase(),
        ],
    )?)
}
