//! People.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::errors::Fallible;
use super::statements::{Connection, Sql, find as row, list as rows, run, statements};
use super::values::{Columns, can_be_stored, only};
use super::{consents, grants, sessions, trusted_issuers};
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::{EndReason, Page, PageRequest, StoreError, User, UserId};

macro_rules! columns {
    () => {
        "id, email, name, password_hash, disabled, created_at, updated_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO person (", columns!(), ", email_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    BY_ID = concat!("SELECT ", columns!(), " FROM person WHERE id = $1");
    BY_EMAIL = concat!("SELECT ", columns!(), " FROM person WHERE email_key = $1");
    AFTER = concat!("SELECT ", columns!(), " FROM person WHERE id > $1 ORDER BY id LIMIT $2");
    UPDATE = "UPDATE person SET email = $2, name = $3, password_hash = $4, disabled = $5, created_at = $6, \
              updated_at = $7, email_key = $8 WHERE id = $1";
    DELETE = "DELETE FROM person WHERE id = $1";
    /// Disabling and removing wait until those who rest on the person have ended.
    HOLD = "SELECT disabled FROM person WHERE id = $1 FOR SHARE";
    PASSWORD_OF = "SELECT password_hash FROM person WHERE id = $1 FOR UPDATE";
}

/// Reads a person from columns that begin where `columns` stands.
pub(super) fn read(columns: &mut Columns<'_>) -> Fallible<User> {
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

pub(super) async fn create(db: &Connection, user: &User) -> Fallible<()> {
    write(db, INSERT, user).await.map(drop)
}

pub(super) async fn find(db: &Connection, id: UserId) -> Fallible<Option<User>> {
    row(db, BY_ID, &[&id.0], read).await
}

pub(super) async fn find_by_email(db: &Connection, email: &str) -> Fallible<Option<User>> {
    if !can_be_stored(email) {
        return Ok(None);
    }
    row(db, BY_EMAIL, &[&email.to_lowercase()], read).await
}

/// Whether this person is here and not disabled, and stays so until the transaction ends.
pub(super) async fn hold(db: &Connection, id: UserId) -> Fallible<bool> {
    let disabled = row(db, HOLD, &[&id.0], only::<bool>).await?;
    Ok(disabled == Some(false))
}

pub(super) async fn list(db: &Connection, request: &PageRequest) -> Fallible<Page<User>> {
    let after = page_start(request)?.unwrap_or(Uuid::nil());
    let found = rows(db, AFTER, &[&after, &i64::from(rows_to_fetch(request))], read).await?;
    Ok(page(found, request, |user| user.id.0.to_string()))
}

/// How many grants ended by it.
pub(super) async fn update(db: &Connection, user: &User, now: UnixSeconds) -> Fallible<u64> {
    let before = password_of(db, user.id).await?.ok_or(StoreError::NotFound)?;
    write(db, UPDATE, user).await?;
    if user.disabled {
        sessions::end_of_user(db, user.id).await?;
        let ended = grants::end_of_user(db, user.id, EndReason::UserDisabled, now).await?;
        // Grants before consents, as everywhere.
        consents::forget_person(db, user.id).await?;
        Ok(ended)
    } else if before != user.password_hash {
        sessions::end_of_user(db, user.id).await?;
        grants::end_pending_of_user(db, user.id, EndReason::SessionEnded, now).await
    } else {
        Ok(0)
    }
}

/// Sessions and consents go with the row (foreign keys); the grants are remembered as ended.
pub(super) async fn delete(db: &Connection, id: UserId, now: UnixSeconds) -> Fallible<u64> {
    password_of(db, id).await?;
    trusted_issuers::hold_links(db, id).await?;
    sessions::end_of_user(db, id).await?;
    let ended = grants::end_of_user(db, id, EndReason::UserDisabled, now).await?;
    run(db, DELETE, &[&id.0]).await?;
    Ok(ended)
}

/// The stored hash of a person whose row is locked from now on; `None` when there is no such person.
async fn password_of(db: &Connection, id: UserId) -> Fallible<Option<Option<String>>> {
    row(db, PASSWORD_OF, &[&id.0], only).await
}

async fn write(db: &Connection, sql: Sql, user: &User) -> Fallible<u64> {
    let email_key = user.email.to_lowercase();
    run(
        db,
        sql,
        &[
            &user.id.0,
            &user.email,
            &user.name,
            &user.password_hash,
            &user.disabled,
            &user.created_at.0,
            &user.updated_at.0,
            &email_key,
        ],
    )
    .await
}
