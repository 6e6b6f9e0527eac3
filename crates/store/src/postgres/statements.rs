//! SQL as constants, and the only way to run it.
//!
//! A [`Sql`] can only be made by [`statements!`], which also puts it into the list of its file; a test
//! prepares each one against an empty migrated database and reads its query plan.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::values::Columns;

/// One statement.
#[derive(Clone, Copy)]
pub(super) struct Sql {
    #[cfg(test)]
    pub(super) name: &'static str,
    #[cfg(test)]
    pub(super) scans: bool,
    text: &'static str,
}

impl Sql {
    pub(super) const fn new(name: &'static str, scans: bool, text: &'static str) -> Self {
        #[cfg(not(test))]
        let _ = (name, scans);
        Self {
            #[cfg(test)]
            name,
            #[cfg(test)]
            scans,
            text,
        }
    }

    #[cfg(test)]
    pub(super) const fn text(self) -> &'static str {
        self.text
    }
}

/// Declares statements. `NAME = "…"` has to find its rows by an index; `NAME scans = "…"` may read a
/// whole (small) table.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident $($scans:ident)? = $text:expr;)*) => {
        $($(#[$doc])* const $name: $crate::postgres::statements::Sql = $crate::postgres::statements::Sql::new(
            stringify!($name), !stringify!($($scans)?).is_empty(), $text);)*
        #[cfg(test)]
        pub(super) const STATEMENTS: &[$crate::postgres::statements::Sql] = &[$($name),*];
    };
}
pub(super) use statements;

pub(super) type Connection = ClientWrapper;
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs a statement that gives no rows, prepared once a connection; the number of rows changed.
pub(super) async fn run(db: &Connection, sql: Sql, params: Params<'_>) -> Fallible<u64> {
    let statement = db.prepare_cached(sql.text).await?;
    Ok(db.execute(&statement, params).await?)
}

/// The row, if there is one.
pub(super) async fn find<T>(
    db: &Connection,
    sql: Sql,
    params: Params<'_>,
    read: impl FnOnce(&mut Columns<'_>) -> Fallible<T>,
) -> Fallible<Option<T>> {
    let statement = db.prepare_cached(sql.text).await?;
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
    let statement = db.prepare_cached(sql.text).await?;
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
    let statement = db.prepare_cached(sql.text).await?;
    let rows = db.query(&statement, params).await?;
    rows.iter().map(|row| read(&mut Columns::new(row))).collect()
}
