//! The way in which this engine runs the statements of [`crate::sql`].

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

pub(super) use super::connection::Connection;
use super::errors::Fallible;
use super::values::Columns;
pub(super) use crate::sql::{Sql, statements};

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs a statement that gives no rows, prepared once a connection; the number of rows changed.
pub(super) async fn run(db: &Connection, sql: Sql, params: Params<'_>) -> Fallible<u64> {
    if let Some(types) = db.types(sql).await? {
        return db
            .answer(db.execute_typed(sql.text(), &typed(params, &types)))
            .await;
    }
    let statement = db.prepared(sql).await?;
    db.answer(db.execute(&statement, params)).await
}

/// The row, if there is one.
pub(super) async fn find<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Option<T>> {
    let row = if let Some(types) = db.types(sql).await? {
        db.answer(db.query_typed_opt(sql.text(), &typed(params, &types)))
            .await?
    } else {
        let statement = db.prepared(sql).await?;
        db.answer(db.query_opt(&statement, params)).await?
    };
    row.map(|row| read(&mut Columns::new(&row))).transpose()
}

/// The row of a statement that always gives one.
pub(super) async fn get<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<T> {
    let row = if let Some(types) = db.types(sql).await? {
        db.answer(db.query_typed_one(sql.text(), &typed(params, &types)))
            .await?
    } else {
        let statement = db.prepared(sql).await?;
        db.answer(db.query_one(&statement, params)).await?
    };
    read(&mut Columns::new(&row))
}

/// Every row.
pub(super) async fn list<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    mut read: impl FnMut(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Vec<T>> {
    let rows: Vec<Row> = if let Some(types) = db.types(sql).await? {
        db.answer(db.query_typed(sql.text(), &typed(params, &types)))
            .await?
    } else {
        let statement = db.prepared(sql).await?;
        db.answer(db.query(&statement, params)).await?
    };
    rows.iter().map(|row| read(&mut Columns::new(row))).collect()
}

/// Each parameter with its type; the server has said how many there are.
fn typed<'a>(params: Params<'a>, types: &[Type]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(types.iter().cloned()).collect()
}
