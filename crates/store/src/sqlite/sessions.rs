//! Signed-in browsers.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, users};
use crate::rules::json;
use crate::rules::sessions::live;
use crate::{Digest, Result, Session, StoreError, User, UserId};

statements! {
    INSERT = "INSERT INTO session (id, user_id, authenticated_at, methods, last_seen_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    WITH_PERSON = "SELECT s.id, s.user_id, s.authenticated_at, s.methods, s.last_seen_at, s.expires_at, \
                   p.id, p.email, p.name, p.password_hash, p.disabled, p.created_at, p.updated_at \
                   FROM session s JOIN person p ON p.id = s.user_id WHERE s.id = ?1";
    IS_LIVE = "SELECT EXISTS (SELECT 1 FROM session s JOIN person p ON p.id = s.user_id \
               WHERE s.id = ?1 AND s.user_id = ?2 AND s.expires_at > ?3 AND p.disabled = 0)";
    TOUCH = "UPDATE session SET last_seen_at = ?2 WHERE id = ?1 AND last_seen_at < ?2";
    DELETE = "DELETE FROM session WHERE id = ?1 RETURNING user_id";
    DELETE_OF_USER = "DELETE FROM session WHERE user_id = ?1";
}

/// Adds a session; whose was the one that it replaces. Refused when the person was removed or disabled meanwhile.
pub(super) fn create(
    db: &Connection,
    session: &Session,
    replaces: Option<&Digest>,
) -> Result<Option<UserId>> {
    if !users::is_enabled(db, session.user)? {
        return Err(StoreError::NotFound);
    }
    let person_before = match replaces {
        Some(before) => end(db, before, session.authenticated_at)?,
        None => None,
    };
    db.run(
        INSERT,
        params![
            session.id,
            session.user.0.as_bytes(),
            session.authenticated_at.0,
            json(&session.methods)?,
            session.last_seen_at.0,
            session.expires_at.0,
        ],
    )?;
    Ok(person_before)
}

/// The live session, and whether it is time to [`touch`] it.
pub(super) fn find(
    db: &Connection,
    id: &Digest,
    idle: Duration,
    now: UnixSeconds,
) -> Result<Option<(Session, User, bool)>> {
    let found = db.find(WITH_PERSON, [id], |row| {
        let mut columns = Columns::new(row);
        let session = Session {
            id: columns.plain()?,
            user: columns.user()?,
            authenticated_at: columns.time()?,
            methods: columns.json()?,
            last_seen_at: columns.time()?,
            expires_at: columns.time()?,
        };
        Ok((session, users::read(&mut columns)?))
    })?;
    Ok(found.and_then(|(session, user)| live(session, user, idle, now)))
}

/// Whether this person's session still lives.
pub(super) fn is_live(db: &Connection, id: &Digest, user: UserId, now: UnixSeconds) -> Result<bool> {
    Ok(db
        .find(IS_LIVE, params![id, user.0.as_bytes(), now.0], |row| row.get(0))?
        .unwrap_or(false))
}

pub(super) fn touch(db: &Connection, id: &Digest, now: UnixSeconds) -> Result<()> {
    db.run(TOUCH, params![id, now.0])?;
    Ok(())
}

/// Whose it was, if there was one.
pub(super) fn end(db: &Connection, id: &Digest, now: UnixSeconds) -> Result<Option<UserId>> {
    let user = db.find(DELETE, [id], |row| Columns::new(row).user())?;
    grants::end_pending_of_session(db, id, now)?;
    Ok(user)
}

pub(super) fn end_of_user(db: &Connection, user: UserId) -> Result<()> {
    db.run(DELETE_OF_USER, [user.0.as_bytes()])?;
    Ok(())
}
