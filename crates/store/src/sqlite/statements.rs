//! The way in which this engine runs the statements of [`crate::sql`].

use rusqlite::{Connection, OptionalExtension, Params, Row};

pub(super) use crate::sql::{Sql, statements};

/// Runs statements through the connection's cache of prepared ones.
pub(super) trait Run {
    /// Runs a statement that gives no rows; the number of rows changed.
    fn run(&self, sql: Sql, params: impl Params) -> rusqlite::Result<usize>;
    /// The first row, if there is one.
    fn find<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>>;
    /// Every row.
    fn list<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>>;
}

impl Run for Connection {
    fn run(&self, sql: Sql, params: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(sql.text())?.execute(params)
    }

    fn find<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.prepare_cached(sql.text())?
            .query_row(params, read)
            .optional()
    }

    fn list<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.prepare_cached(sql.text())?
            .query_map(params, read)?
            .collect()
    }
}
