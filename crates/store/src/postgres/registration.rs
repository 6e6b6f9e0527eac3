//! Initial access tokens (RFC 7591 §3), and clients that change their own registration (RFC 7592).

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::errors::Fallible;
use super::statements::{Connection, find as row, list as rows, run, statements};
use super::values::{Columns, only};
use super::{clients, grants};
use crate::rules::clients::{by_operator, keeping};
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::{Client, Digest, EndReason, InitialAccessToken, Page, PageRequest, StoreError};

statements! {
    INSERT = "INSERT INTO initial_access_token (id, digest, name, uses_left, created_at, expires_at) \
              VALUES ($1, $2, $3, $4, $5, $6)";
    ONE = "SELECT id, digest, name, uses_left, created_at, expires_at FROM initial_access_token WHERE id = $1";
    /// Newest first: ids rise with time (RFC 9562 §5.7).
    BEFORE = "SELECT id, digest, name, uses_left, created_at, expires_at FROM initial_access_token \
              WHERE id < $1 ORDER BY id DESC LIMIT $2";
    DELETE = "DELETE FROM initial_access_token WHERE id = $1";
    /// The last use ends it.
    USE = "UPDATE initial_access_token SET uses_left = uses_left - 1, \
           expires_at = CASE WHEN uses_left = 1 THEN $2 ELSE expires_at END WHERE digest = $1 \
           AND coalesce(uses_left, 1) > 0 AND (expires_at IS NULL OR expires_at > $2) RETURNING id";
}

pub(super) async fn create_token(db: &Connection, token: &InitialAccessToken) -> Fallible<()> {
    run(
        db,
        INSERT,
        &[
            &token.id,
            &token.digest.as_slice(),
            &token.name,
            &token.uses_left.map(i64::from),
            &token.created_at.0,
            &token.expires_at.map(|time| time.0),
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find_token(db: &Connection, id: Uuid) -> Fallible<Option<InitialAccessToken>> {
    row(db, ONE, &[&id], read).await
}

pub(super) async fn tokens(db: &Connection, request: &PageRequest) -> Fallible<Page<InitialAccessToken>> {
    let below = page_start(request)?.unwrap_or(Uuid::max());
    let found = rows(db, BEFORE, &[&below, &i64::from(rows_to_fetch(request))], read).await?;
    Ok(page(found, request, |token| token.id.to_string()))
}

fn read(columns: &mut Columns<'_>) -> Fallible<InitialAccessToken> {
    Ok(InitialAccessToken {
        id: columns.plain()?,
        digest: columns.bytes()?,
        name: columns.plain()?,
        uses_left: columns
            .plain::<Option<i64>>()?
            .map(|uses| u32::try_from(uses).unwrap_or(0)),
        created_at: columns.time()?,
        expires_at: columns.maybe_time()?,
    })
}

pub(super) async fn delete_token(db: &Connection, id: Uuid) -> Fallible<bool> {
    Ok(run(db, DELETE, &[&id]).await? == 1)
}

/// The token is used up only with a client. Its id; `None` when it does not count.
pub(super) async fn register(
    db: &Connection,
    client: &Client,
    token: &Digest,
    now: UnixSeconds,
) -> Fallible<Option<Uuid>> {
    let used = row(db, USE, &[&token.as_slice(), &now.0], only).await?;
    if used.is_some() {
        clients::create(db, client).await?;
    }
    Ok(used)
}

/// The client as it was, and as it is now.
pub(super) async fn update(
    db: &Connection,
    client: &Client,
    presented: &Digest,
    now: UnixSeconds,
) -> Fallible<(Client, Client)> {
    let before = find_to_write(db, &client.client_id).await?;
    if before.registration_token.as_ref() != Some(presented) || before.disabled {
        return Err(StoreError::Conflict.into());
    }
    let after = keeping(&before, client);
    replace(db, &before, &after, now).await?;
    Ok((before, after))
}

/// The client as it was, and as it is now.
pub(super) async fn update_by_operator(db: &Connection, client: &Client) -> Fallible<(Client, Client)> {
    let before = find_to_write(db, &client.client_id).await?;
    let after = by_operator(&before, client);
    replace(db, &before, &after, client.updated_at).await?;
    Ok((before, after))
}

/// As it is, and nobody else changes it until the transaction ends.
async fn find_to_write(db: &Connection, client_id: &str) -> Fallible<Client> {
    clients::hold(db, client_id, true).await?;
    Ok(clients::find(db, client_id).await?.ok_or(StoreError::NotFound)?)
}

/// What it has not redeemed yet was allowed to another one, by its fingerprint.
async fn replace(db: &Connection, before: &Client, after: &Client, now: UnixSeconds) -> Fallible<()> {
    clients::update(db, after).await?;
    if before.fingerprint != after.fingerprint {
        grants::end_pending_of_client(db, &after.client_id, EndReason::ClientChanged, now).await?;
    }
    Ok(())
}
