//! The way in which this engine runs the statements of [`crate::sql`].

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Statement};

pub(super) use super::connection::Connection;
use super::errors::Fallible;
use super::values::Columns;
pub(super) use crate::sql::{Sql, statements};

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What a statement needs to be sent: the name under which this connection has prepared it, or, behind a pooler, the types of
/// its parameters.
pub(super) enum Ready {
    Prepared(Statement),
    Typed(Arc<[Type]>),
}

/// Runs a statement that gives no rows, prepared once a connection; the number of rows changed.
pub(super) async fn run(db: &Connection, sql: Sql, params: Params<'_>) -> Fallible<u64> {
    let ready = db.ready(sql).await?;
    execute(db, sql, &ready, params).await
}

/// The same, of a statement that can be sent at once.
pub(super) async fn execute(db: &Connection, sql: Sql, ready: &Ready, params: Params<'_>) -> Fallible<u64> {
    match ready {
        Ready::Prepared(statement) => db.answer(db.execute(statement, params)).await,
        Ready::Typed(types) => {
            db.answer(db.execute_typed(sql.text(), &typed(params, types)))
                .await
        }
    }
}

/// The row, if there is one.
pub(super) async fn find<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Option<T>> {
    let row = match db.ready(sql).await? {
        Ready::Prepared(statement) => db.answer(db.query_opt(&statement, params)).await?,
        Ready::Typed(types) => {
            db.answer(db.query_typed_opt(sql.text(), &typed(params, &types)))
                .await?
        }
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
    let row = match db.ready(sql).await? {
        Ready::Prepared(statement) => db.answer(db.query_one(&statement, params)).await?,
        Ready::Typed(types) => {
            db.answer(db.query_typed_one(sql.text(), &typed(params, &types)))
                .await?
        }
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
    let rows: Vec<Row> = match db.ready(sql).await? {
        Ready::Prepared(statement) => db.answer(db.query(&statement, params)).await?,
        Ready::Typed(types) => {
            db.answer(db.query_typed(sql.text(), &typed(params, &types)))
                .await?
        }
    };
    rows.iter().map(|row| read(&mut Columns::new(row))).collect()
}

/// Each parameter with its type; the server has said how many there are.
fn typed<'a>(params: Params<'a>, types: &[Type]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(types.iter().cloned()).collect()
}
