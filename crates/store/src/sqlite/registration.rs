//! Initial access tokens (RFC 7591 §3), and clients that change their own registration (RFC 7592).

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::statements::{Run, statements};
use super::values::Columns;
use super::{clients, grants};
use crate::rules::clients::{by_operator, keeping};
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::{Client, Digest, EndReason, InitialAccessToken, Page, PageRequest, Result, StoreError};

statements! {
    INSERT = "INSERT INTO initial_access_token (id, digest, name, uses_left, created_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    ONE = "SELECT id, digest, name, uses_left, created_at, expires_at FROM initial_access_token WHERE id = ?1";
    /// Newest first: ids rise with time (RFC 9562 §5.7).
    BEFORE = "SELECT id, digest, name, uses_left, created_at, expires_at FROM initial_access_token \
              WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    DELETE = "DELETE FROM initial_access_token WHERE id = ?1";
    /// The last use ends it.
    USE = "UPDATE initial_access_token SET uses_left = uses_left - 1, \
           expires_at = CASE WHEN uses_left = 1 THEN ?2 ELSE expires_at END WHERE digest = ?1 \
           AND coalesce(uses_left, 1) > 0 AND (expires_at IS NULL OR expires_at > ?2) RETURNING id";
}

pub(super) fn create_token(db: &Connection, token: &InitialAccessToken) -> Result<()> {
    db.run(
        INSERT,
        params![
            token.id.as_bytes(),
            token.digest,
            token.name,
            token.uses_left,
            token.created_at.0,
            token.expires_at.map(|time| time.0),
        ],
    )?;
    Ok(())
}

pub(super) fn find_token(db: &Connection, id: Uuid) -> Result<Option<InitialAccessToken>> {
    Ok(db.find(ONE, [id.as_bytes()], read)?)
}

pub(super) fn tokens(db: &Connection, request: &PageRequest) -> Result<Page<InitialAccessToken>> {
    let below = page_start(request)?.unwrap_or(Uuid::max());
    let rows = db.list(BEFORE, params![below.as_bytes(), rows_to_fetch(request)], read)?;
    Ok(page(rows, request, |token| token.id.to_string()))
}

fn read(row: &Row<'_>) -> rusqlite::Result<InitialAccessToken> {
    let mut columns = Columns::new(row);
    Ok(InitialAccessToken {
        id: columns.plain().map(Uuid::from_bytes)?,
        digest: columns.plain()?,
        name: columns.plain()?,
        uses_left: columns.plain()?,
        created_at: columns.time()?,
        expires_at: columns.maybe_time()?,
    })
}

pub(super) fn delete_token(db: &Connection, id: Uuid) -> Result<bool> {
    Ok(db.run(DELETE, [id.as_bytes()])? == 1)
}

/// The token is used up only with a client. Its id; `None` when it does not count.
pub(super) fn register(
    db: &Connection,
    client: &Client,
    token: &Digest,
    now: UnixSeconds,
) -> Result<Option<Uuid>> {
    let used = db.find(USE, params![token, now.0], |row| row.get(0).map(Uuid::from_bytes))?;
    if used.is_some() {
        clients::create(db, client)?;
    }
    Ok(used)
}

/// The client as it was, and as it is now.
pub(super) fn update(
    db: &Connection,
    client: &Client,
    presented: &Digest,
    now: UnixSeconds,
) -> Result<(Client, Client)> {
    let before = clients::find(db, &client.client_id)?.ok_or(StoreError::NotFound)?;
    if before.registration_token.as_ref() != Some(presented) || before.disabled {
        return Err(StoreError::Conflict);
    }
    let after = keeping(&before, client);
    replace(db, &before, &after, now)?;
    Ok((before, after))
}

/// The client as it was, and as it is now.
pub(super) fn update_by_operator(db: &Connection, client: &Client) -> Result<(Client, Client)> {
    let before = clients::find(db, &client.client_id)?.ok_or(StoreError::NotFound)?;
    let after = by_operator(&before, client);
    replace(db, &before, &after, client.updated_at)?;
    Ok((before, after))
}

/// What it has not redeemed yet was allowed to another one, by its fingerprint.
fn replace(db: &Connection, before: &Client, after: &Client, now: UnixSeconds) -> Result<()> {
    clients::update(db, after)?;
    if before.fingerprint != after.fingerprint {
        grants::end_pending_of_client(db, &after.client_id, EndReason::ClientChanged, now)?;
    }
    Ok(())
}
