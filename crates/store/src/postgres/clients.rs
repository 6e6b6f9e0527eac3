//! Clients.

use doorward_oauth::time::UnixSeconds;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, Sql, find as row, list as rows, run, statements};
use super::values::{Columns, can_be_stored};
use super::{consents, grants};
use crate::rules::clients::{Search, Standing, is_touched, only_introspects};
use crate::rules::consents::ConsentsOf;
use crate::rules::json;
use crate::rules::pages::page;
use crate::rules::words::Word;
use crate::{Client, ClientFilter, Digest, EndReason, Page, PageRequest, StoreError};

macro_rules! columns {
    () => {
        "client_id, source, metadata, secrets, fingerprint, resource_server, disabled, created_at, updated_at, \
         registration_token"
    };
}

macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO client (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        )
    };
}

statements! {
    INSERT = insert!();
    REGISTER = concat!(insert!(), " ON CONFLICT (client_id) DO NOTHING");
    SNAPSHOT = concat!(
        insert!(),
        " ON CONFLICT (client_id) DO UPDATE SET metadata = excluded.metadata, fingerprint = excluded.fingerprint, \
          updated_at = excluded.updated_at WHERE client.source = 'metadata_document'"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM client WHERE client_id = $1");
    AFTER = concat!("SELECT ", columns!(), " FROM client WHERE client_id > $1 AND source = coalesce($3, source) \
                    AND disabled = coalesce($4, disabled) ORDER BY client_id LIMIT $2");
    UPDATE = "UPDATE client SET source = $2, metadata = $3, secrets = $4, fingerprint = $5, resource_server = $6, \
              disabled = $7, created_at = $8, updated_at = $9, registration_token = $10 WHERE client_id = $1";
    /// Tells guards, who know of the tokens that the client got under the grants of others.
    DISABLE = "UPDATE client SET disabled = TRUE, updated_at = greatest(updated_at, $2) WHERE client_id = $1 AND NOT disabled";
    DELETE = "DELETE FROM client WHERE client_id = $1";
    TOUCH = "UPDATE client SET updated_at = greatest(updated_at, $2) WHERE client_id = $1";
    OF_RESOURCE = concat!("SELECT ", columns!(), " FROM client WHERE resource_server = $1 FOR UPDATE");
    FORGET_RESOURCE = "UPDATE client SET resource_server = NULL WHERE resource_server = $1";
    HOLD = "SELECT disabled, fingerprint FROM client WHERE client_id = $1 FOR SHARE";
    HOLD_TO_WRITE = "SELECT disabled, fingerprint FROM client WHERE client_id = $1 FOR NO KEY UPDATE";
}

fn read(columns: &mut Columns<'_>) -> Fallible<Client> {
    Ok(Client {
        client_id: columns.plain()?,
        source: columns.word()?,
        metadata: columns.plain()?,
        secrets: columns.json()?,
        fingerprint: columns.plain()?,
        resource_server: columns.plain()?,
        disabled: columns.plain()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        registration_token: columns
            .plain::<Option<&[u8]>>()?
            .and_then(|digest| Digest::try_from(digest).ok()),
    })
}

pub(super) async fn create(db: &Connection, client: &Client) -> Fallible<()> {
    write(db, INSERT, client).await.map(drop)
}

/// The stored client wins; a registration storm writes one row. Whether this is the one that did.
pub(super) async fn register(db: &Connection, client: &Client) -> Fallible<(Client, bool)> {
    if let Some(mut stored) = find(db, &client.client_id).await? {
        if is_touched(&stored, client.updated_at) {
            if run(db, TOUCH, &[&client.client_id, &client.updated_at.0]).await? == 0 {
                return Err(removed());
            }
            stored.updated_at = client.updated_at;
        }
        return Ok((stored, false));
    }
    let is_new = write(db, REGISTER, client).await? == 1;
    let stored = find(db, &client.client_id).await?.ok_or_else(removed)?;
    Ok((stored, is_new))
}

/// By somebody else in this moment: it is registered again.
fn removed() -> Fault {
    Fault::Contended("a client was removed at its registration".to_owned())
}

pub(super) async fn find(db: &Connection, client_id: &str) -> Fallible<Option<Client>> {
    if !can_be_stored(client_id) {
        return Ok(None);
    }
    row(db, BY_ID, &[&client_id], read).await
}

/// Where a client that is stored stands, and it stays so until the transaction ends.
pub(super) async fn hold(db: &Connection, client_id: &str, to_write: bool) -> Fallible<Option<Standing>> {
    let sql = if to_write { HOLD_TO_WRITE } else { HOLD };
    row(db, sql, &[&client_id], |columns: &mut Columns<'_>| {
        Ok(Standing {
            disabled: columns.plain()?,
            fingerprint: columns.plain()?,
        })
    })
    .await
}

/// Keeps the newest metadata of a metadata-document client. Never touches a client that was registered here,
/// and never re-enables one.
pub(super) async fn keep_snapshot(db: &Connection, client: &Client) -> Fallible<()> {
    write(db, SNAPSHOT, client).await?;
    match hold(db, &client.client_id, true).await? {
        Some(standing) if !standing.disabled => Ok(()),
        // Added by somebody else in this moment: look again at what stands.
        _ => Err(Fault::Contended("a client changed at its approval".to_owned())),
    }
}

pub(super) async fn list(
    db: &Connection,
    filter: &ClientFilter,
    request: &PageRequest,
) -> Fallible<Page<Client>> {
    let mut search = Search::new(filter, request);
    let source = filter.source.map(Word::word);
    while let Some((after, limit)) = search.next_step() {
        let (after, limit) = (after.to_owned(), i64::from(limit));
        search.take(rows(db, AFTER, &[&after, &limit, &source, &filter.disabled], read).await?);
    }
    Ok(page(search.into_found(), request, |client| {
        client.client_id.clone()
    }))
}

pub(super) async fn update(db: &Connection, client: &Client) -> Fallible<()> {
    match write(db, UPDATE, client).await? {
        0 => Err(StoreError::NotFound.into()),
        _ => Ok(()),
    }
}

pub(super) async fn disable(db: &Connection, client_id: &str, now: UnixSeconds) -> Fallible<()> {
    run(db, DISABLE, &[&client_id, &now.0]).await.map(drop)
}

pub(super) async fn delete(db: &Connection, client_id: &str, now: UnixSeconds) -> Fallible<u64> {
    disable(db, client_id, now).await?;
    run(db, DELETE, &[&client_id]).await?;
    let ended = grants::end_of_client(db, client_id, EndReason::ClientDeleted, now).await?;
    consents::forget(db, &ConsentsOf::client(client_id)).await?;
    Ok(ended)
}

/// The resource is gone, and a later one under its slug is not the one that these clients were: those that are nothing else go
/// with it. Returns all of them.
pub(super) async fn lose_resource(db: &Connection, slug: &str, now: UnixSeconds) -> Fallible<Vec<Client>> {
    let servers = rows(db, OF_RESOURCE, &[&slug], read).await?;
    for server in servers.iter().filter(|server| only_introspects(server)) {
        delete(db, &server.client_id, now).await?;
    }
    run(db, FORGET_RESOURCE, &[&slug]).await?;
    Ok(servers)
}

async fn write(db: &Connection, sql: Sql, client: &Client) -> Fallible<u64> {
    let secrets = json(&client.secrets)?;
    run(
        db,
        sql,
        &[
            &client.client_id,
            &client.source.word(),
            &client.metadata,
            &secrets,
            &client.fingerprint,
            &client.resource_server,
            &client.disabled,
            &client.created_at.0,
            &client.updated_at.0,
            &client.registration_token.as_ref().map(Digest::as_slice),
        ],
    )
    .await
}
