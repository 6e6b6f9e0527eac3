//! Protected resources.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, Sql, find as row, list as rows, run, statements};
use super::values::{Columns, can_be_stored, only};
use super::{clients, consents, grants};
use crate::rules::consents::ConsentsOf;
use crate::rules::json;
use crate::{Client, EndReason, Resource, StoreError};

macro_rules! columns {
    () => {
        "slug, uri, display_name, scopes, created_at, updated_at, policy"
    };
}

statements! {
    INSERT = concat!("INSERT INTO resource (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)");
    BY_SLUG = concat!("SELECT ", columns!(), " FROM resource WHERE slug = $1");
    ALL scans = concat!("SELECT ", columns!(), " FROM resource ORDER BY slug");
    UPDATE = "UPDATE resource SET uri = $2, display_name = $3, scopes = $4, created_at = $5, updated_at = $6, policy = $7 \
              WHERE slug = $1";
    DELETE = "DELETE FROM resource WHERE slug = $1 RETURNING uri";
    URI_OF = "SELECT uri FROM resource WHERE slug = $1 FOR UPDATE";
    HOLD = "SELECT 1 FROM resource WHERE uri = $1 FOR KEY SHARE";
}

fn read(columns: &mut Columns<'_>) -> Fallible<Resource> {
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

pub(super) async fn create(db: &Connection, resource: &Resource) -> Fallible<()> {
    write(db, INSERT, resource).await.map(drop)
}

pub(super) async fn find(db: &Connection, slug: &str) -> Fallible<Option<Resource>> {
    if !can_be_stored(slug) {
        return Ok(None);
    }
    row(db, BY_SLUG, &[&slug], read).await
}

pub(super) async fn list(db: &Connection) -> Fallible<Vec<Resource>> {
    rows(db, ALL, &[], read).await
}

/// Whether a resource has this URI; it keeps it until the transaction ends.
pub(super) async fn hold(db: &Connection, uri: &str) -> Fallible<bool> {
    Ok(row(db, HOLD, &[&uri], |_| Ok(())).await?.is_some())
}

/// A changed URI is another resource to everybody outside: grants on the old one end.
pub(super) async fn update(db: &Connection, resource: &Resource) -> Fallible<u64> {
    let before: Option<String> = row(db, URI_OF, &[&resource.slug], only).await?;
    let before = before.ok_or(StoreError::NotFound)?;
    write(db, UPDATE, resource).await?;
    if before == resource.uri {
        return Ok(0);
    }
    end_everything_on(db, &before, resource.updated_at).await
}

/// How many grants ended, and which clients were this resource.
pub(super) async fn delete(db: &Connection, slug: &str, now: UnixSeconds) -> Fallible<(u64, Vec<Client>)> {
    let Some(uri) = row(db, DELETE, &[&slug], only::<String>).await? else {
        return Ok((0, Vec::new()));
    };
    let servers = clients::lose_resource(db, slug, now).await?;
    Ok((end_everything_on(db, &uri, now).await?, servers))
}

async fn end_everything_on(db: &Connection, uri: &str, now: UnixSeconds) -> Fallible<u64> {
    let ended = grants::end_on_resource(db, uri, EndReason::ResourceDeleted, now).await?;
    consents::forget(db, &ConsentsOf::resource(uri)).await?;
    Ok(ended)
}

async fn write(db: &Connection, sql: Sql, resource: &Resource) -> Fallible<u64> {
    let Resource {
        slug,
        uri,
        display_name,
        scopes,
        created_at,
        updated_at,
        policy,
    } = resource;
    let (scopes, policy) = (json(scopes)?, json(policy)?);
    run(
        db,
        sql,
        &[
            slug,
            uri,
            display_name,
            &scopes,
            &created_at.0,
            &updated_at.0,
            &policy,
        ],
    )
    .await
}
