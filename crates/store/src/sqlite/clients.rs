//! Clients.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};

use super::statements::{Run, Sql, statements};
use super::values::Columns;
use super::{consents, grants};
use crate::rules::clients::{Search, Standing, is_touched, only_introspects};
use crate::rules::consents::ConsentsOf;
use crate::rules::json;
use crate::rules::pages::page;
use crate::rules::words::Word;
use crate::{Client, ClientFilter, EndReason, Page, PageRequest, Result, StoreError};

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
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        )
    };
}

statements! {
    INSERT = insert!();
    REGISTER = concat!(insert!(), " ON CONFLICT (client_id) DO NOTHING");
    SNAPSHOT = concat!(
        insert!(),
        " ON CONFLICT (client_id) DO UPDATE SET metadata = excluded.metadata, fingerprint = excluded.fingerprint, \
          updated_at = excluded.updated_at WHERE source = 'metadata_document'"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM client WHERE client_id = ?1");
    AFTER = concat!("SELECT ", columns!(), " FROM client WHERE client_id > ?1 AND source = coalesce(?3, source) \
                    AND disabled = coalesce(?4, disabled) ORDER BY client_id LIMIT ?2");
    UPDATE = "UPDATE client SET source = ?2, metadata = ?3, secrets = ?4, fingerprint = ?5, resource_server = ?6, \
              disabled = ?7, created_at = ?8, updated_at = ?9, registration_token = ?10 WHERE client_id = ?1";
    /// Tells guards, who know of the tokens that the client got under the grants of others.
    DISABLE = "UPDATE client SET disabled = TRUE, updated_at = max(updated_at, ?2) WHERE client_id = ?1 AND NOT disabled";
    DELETE = "DELETE FROM client WHERE client_id = ?1";
    TOUCH = "UPDATE client SET updated_at = ?2 WHERE client_id = ?1";
    OF_RESOURCE = concat!("SELECT ", columns!(), " FROM client WHERE resource_server = ?1");
    FORGET_RESOURCE = "UPDATE client SET resource_server = NULL WHERE resource_server = ?1";
    STANDING = "SELECT disabled, fingerprint FROM client WHERE client_id = ?1";
}

fn read(row: &Row<'_>) -> rusqlite::Result<Client> {
    let mut columns = Columns::new(row);
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
        registration_token: columns.plain()?,
    })
}

pub(super) fn create(db: &Connection, client: &Client) -> Result<()> {
    write(db, INSERT, client).map(drop)
}

/// The stored client wins; a registration storm writes one row.
pub(super) fn register(db: &Connection, client: &Client) -> Result<Client> {
    if let Some(mut stored) = find(db, &client.client_id)? {
        if is_touched(&stored, client.updated_at) {
            db.run(TOUCH, params![client.client_id, client.updated_at.0])?;
            stored.updated_at = client.updated_at;
        }
        return Ok(stored);
    }
    write(db, REGISTER, client)?;
    find(db, &client.client_id)?
        .ok_or_else(|| StoreError::Internal("a registered client is not there".to_owned()))
}

/// Keeps the newest metadata of a metadata-document client. Never touches a client that was registered here,
/// and never re-enables one.
pub(super) fn keep_snapshot(db: &Connection, client: &Client) -> Result<()> {
    write(db, SNAPSHOT, client).map(drop)
}

pub(super) fn find(db: &Connection, client_id: &str) -> Result<Option<Client>> {
    Ok(db.find(BY_ID, [client_id], read)?)
}

/// Where a client that is stored stands.
pub(super) fn standing(db: &Connection, client_id: &str) -> Result<Option<Standing>> {
    Ok(db.find(STANDING, [client_id], |row| {
        let mut columns = Columns::new(row);
        Ok(Standing {
            disabled: columns.plain()?,
            fingerprint: columns.plain()?,
        })
    })?)
}

pub(super) fn list(db: &Connection, filter: &ClientFilter, request: &PageRequest) -> Result<Page<Client>> {
    let mut search = Search::new(filter, request);
    let source = filter.source.map(Word::word);
    while let Some((after, limit)) = search.next_step() {
        search.take(db.list(AFTER, params![after, limit, source, filter.disabled], read)?);
    }
    Ok(page(search.into_found(), request, |client| {
        client.client_id.clone()
    }))
}

pub(super) fn update(db: &Connection, client: &Client) -> Result<()> {
    match write(db, UPDATE, client)? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

pub(super) fn disable(db: &Connection, client_id: &str, now: UnixSeconds) -> Result<()> {
    db.run(DISABLE, params![client_id, now.0])
        .map(drop)
        .map_err(Into::into)
}

pub(super) fn delete(db: &Connection, client_id: &str, now: UnixSeconds) -> Result<u64> {
    disable(db, client_id, now)?;
    db.run(DELETE, [client_id])?;
    consents::forget(db, &ConsentsOf::client(client_id))?;
    grants::end_of_client(db, client_id, EndReason::ClientDeleted, now)
}

/// The resource is gone, and a later one under its slug is not the one that these clients were: those that are nothing else go
/// with it. Returns all of them.
pub(super) fn lose_resource(db: &Connection, slug: &str, now: UnixSeconds) -> Result<Vec<Client>> {
    let servers = db.list(OF_RESOURCE, [slug], read)?;
    for server in servers.iter().filter(|server| only_introspects(server)) {
        delete(db, &server.client_id, now)?;
    }
    db.run(FORGET_RESOURCE, [slug])?;
    Ok(servers)
}

fn write(db: &Connection, sql: Sql, client: &Client) -> Result<usize> {
    Ok(db.run(
        sql,
        params![
            client.client_id,
            client.source.word(),
            client.metadata,
            json(&client.secrets)?,
            client.fingerprint,
            client.resource_server,
            client.disabled,
            client.created_at.0,
            client.updated_at.0,
            client.registration_token,
        ],
    )?)
}
