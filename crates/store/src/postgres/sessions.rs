//! Signed-in browsers.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find as row, run, statements};
use super::values::only;
use super::writes::{Write, values};
use super::{grants, users};
use crate::rules::json;
use crate::rules::sessions::live;
use crate::{Digest, Session, StoreError, User, UserId};

statements! {
    INSERT = "INSERT INTO session (id, user_id, authenticated_at, methods, last_seen_at, expires_at) \
              VALUES ($1, $2, $3, $4, $5, $6)";
    WITH_PERSON = "SELECT s.id, s.user_id, s.authenticated_at, s.methods, s.last_seen_at, s.expires_at, \
                   p.id, p.email, p.name, p.password_hash, p.disabled, p.created_at, p.updated_at \
                   FROM session s JOIN person p ON p.id = s.user_id WHERE s.id = $1";
    /// It cannot end meanwhile, but its use can be written down.
    HOLD = "SELECT expires_at FROM session WHERE id = $1 AND user_id = $2 FOR KEY SHARE";
    TOUCH = "UPDATE session SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";
    DELETE = "DELETE FROM session WHERE id = $1 RETURNING user_id";
    DELETE_OF_USER = "DELETE FROM session WHERE user_id = $1";
}

/// Adds a session; whose was the one that it replaces. Refused when the person, who is held, was removed or disabled meanwhile.
pub(super) async fn create(
    db: &Connection,
    session: &Session,
    replaces: Option<&Digest>,
    person: bool,
) -> Fallible<(Option<UserId>, Write)> {
    if !person {
        return Err(StoreError::NotFound.into());
    }
    let person_before = match replaces {
        Some(before) => end(db, before, session.authenticated_at).await?,
        None => None,
    };
    let values = values![
        session.id.to_vec(),
        session.user.0,
        session.authenticated_at.0,
        json(&session.methods)?,
        session.last_seen_at.0,
        session.expires_at.0,
    ];
    Ok((person_before, Write::new(INSERT, values)))
}

/// The live session, and whether it is time to [`touch`] it.
pub(super) async fn find(
    db: &Connection,
    id: &Digest,
    idle: Duration,
    now: UnixSeconds,
) -> Fallible<Option<(Session, User, bool)>> {
    let found = row(db, WITH_PERSON, &[&id.as_slice()], |columns| {
        let session = Session {
            id: columns.bytes()?,
            user: columns.user()?,
            authenticated_at: columns.time()?,
            methods: columns.json()?,
            last_seen_at: columns.time()?,
            expires_at: columns.time()?,
        };
        Ok((session, users::read(columns)?))
    })
    .await?;
    Ok(found.and_then(|(session, user)| live(session, user, idle, now)))
}

/// Whether this person's session lives, and it does until the transaction ends.
pub(super) async fn hold(db: &Connection, id: &Digest, user: UserId, now: UnixSeconds) -> Fallible<bool> {
    let expires_at: Option<i64> = row(db, HOLD, &[&id.as_slice(), &user.0], only).await?;
    Ok(expires_at.is_some_and(|expires_at| now.0 < expires_at))
}

pub(super) async fn touch(db: &Connection, id: &Digest, now: UnixSeconds) -> Fallible<()> {
    run(db, TOUCH, &[&id.as_slice(), &now.0]).await.map(drop)
}

/// Whose it was, if there was one.
pub(super) async fn end(db: &Connection, id: &Digest, now: UnixSeconds) -> Fallible<Option<UserId>> {
    let user = row(db, DELETE, &[&id.as_slice()], only).await?.map(UserId);
    grants::end_pending_of_session(db, id, now).await?;
    Ok(user)
}

pub(super) async fn end_of_user(db: &Connection, user: UserId) -> Fallible<()> {
    run(db, DELETE_OF_USER, &[&user.0]).await.map(drop)
}
