//! The way in which this engine runs the statements of [`crate::sql`].

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;

pub(super) use crate::sql::{Sql, statements};

use super::errors::Fallible;
use super::values::Columns;

pub(super) type Connection = ClientWrapper;
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs a statement that gives no rows, prepared once a connection; the number of rows changed.
pub(super) async fn run(db: &Connection, sql: Sql, params: Params<'_>) -> Fallible<u64> {
    let statement = db.prepare_cached(sql.text()).await?;
    Ok(db.execute(&statement, params).await?)
}

/// The row, if there is one.
pub(super) async fn find<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Option<T>> {
    let statement = db.prepare_cached(sql.text()).await?;
    let row = db.query_opt(&statement, params).await?;
    row.map(|row| read(&mut Columns::new(&row))).transpose()
}

/// The row of a statement that always gives one.
pub(super) async fn get<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<T> {
    let statement = db.prepare_cached(sql.text()).await?;
    let row = db.query_one(&statement, params).await?;
    read(&mut Columns::new(&row))
}

/// Every row.
pub(super) async fn list<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    mut read: impl FnMut(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Vec<T>> {
    let statement = db.prepare_cached(sql.text()).await?;
    let rows = db.query(&statement, params).await?;
    rows.iter().map(|row| read(&mut Columns::new(row))).collect()
}
