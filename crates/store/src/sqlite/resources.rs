//! Protected resources.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};

use super::statements::{Run, Sql, statements};
use super::values::Columns;
use super::{clients, consents, grants};
use crate::rules::consents::ConsentsOf;
use crate::rules::json;
use crate::{Client, EndReason, Resource, Result, StoreError};

macro_rules! columns {
    () => {
        "slug, uri, display_name, scopes, created_at, updated_at, policy"
    };
}

statements! {
    INSERT = concat!("INSERT INTO resource (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM resource WHERE slug = ?1");
    ALL scans = concat!("SELECT ", columns!(), " FROM resource ORDER BY slug");
    UPDATE = "UPDATE resource SET uri = ?2, display_name = ?3, scopes = ?4, created_at = ?5, updated_at = ?6, policy = ?7 \
              WHERE slug = ?1";
    DELETE = "DELETE FROM resource WHERE slug = ?1";
    EXISTS = "SELECT EXISTS (SELECT 1 FROM resource WHERE uri = ?1)";
}

fn read(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let mut columns = Columns::new(row);
    Ok(Resource {
        slug: columns.plain()?,
        uri: columns.plain()?,
        display_name: columns.plain()?,
        scopes: columns.json()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        policy: columns.json()?,
    })
}

pub(super) fn create(db: &Connection, resource: &Resource) -> Result<()> {
    write(db, INSERT, resource).map(drop)
}

pub(super) fn find(db: &Connection, slug: &str) -> Result<Option<Resource>> {
    Ok(db.find(BY_SLUG, [slug], read)?)
}

pub(super) fn list(db: &Connection) -> Result<Vec<Resource>> {
    Ok(db.list(ALL, [], read)?)
}

/// Whether a resource has this URI.
pub(super) fn exists(db: &Connection, uri: &str) -> Result<bool> {
    Ok(db.find(EXISTS, [uri], |row| row.get(0))?.unwrap_or(false))
}

/// A changed URI is another resource to everybody outside: grants on the old one end.
pub(super) fn update(db: &Connection, resource: &Resource) -> Result<u64> {
    let before = find(db, &resource.slug)?.ok_or(StoreError::NotFound)?;
    write(db, UPDATE, resource)?;
    if before.uri == resource.uri {
        return Ok(0);
    }
    end_everything_on(db, &before.uri, resource.updated_at)
}

/// How many grants ended, and which clients were this resource.
pub(super) fn delete(db: &Connection, slug: &str, now: UnixSeconds) -> Result<(u64, Vec<Client>)> {
    let Some(resource) = find(db, slug)? else {
        return Ok((0, Vec::new()));
    };
    db.run(DELETE, [slug])?;
    let servers = clients::lose_resource(db, slug, now)?;
    Ok((end_everything_on(db, &resource.uri, now)?, servers))
}

fn end_everything_on(db: &Connection, uri: &str, now: UnixSeconds) -> Result<u64> {
    consents::forget(db, &ConsentsOf::resource(uri))?;
    grants::end_on_resource(db, uri, EndReason::ResourceDeleted, now)
}

fn write(db: &Connection, sql: Sql, resource: &Resource) -> Result<usize> {
    let Resource {
        slug,
        uri,
        display_name,
        scopes,
        created_at,
        updated_at,
        policy,
    } = resource;
    Ok(db.run(
        sql,
        params![
            slug,
            uri,
            display_name,
            json(scopes)?,
            created_at.0,
            updated_at.0,
            json(policy)?
        ],
    )?)
}
