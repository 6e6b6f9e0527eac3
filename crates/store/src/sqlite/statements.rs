//! SQL as constants, and the only way to run it.
//!
//! A [`Sql`] can only be made by [`statements!`], which also puts it into the list of its file; the lists
//! come together in [`all`], and a test prepares each statement against an empty migrated database and
//! reads its query plan.

use rusqlite::{Connection, OptionalExtension, Params, Row};

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
/// whole (small) table or walk an index in order.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident $($scans:ident)? = $text:expr;)*) => {
        $($(#[$doc])* const $name: $crate::sqlite::statements::Sql = $crate::sqlite::statements::Sql::new(
            stringify!($name), !stringify!($($scans)?).is_empty(), $text);)*
        #[cfg(test)]
        pub(super) const STATEMENTS: &[$crate::sqlite::statements::Sql] = &[$($name),*];
    };
}
pub(super) use statements;

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
        self.prepare_cached(sql.text)?.execute(params)
    }

    fn find<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.prepare_cached(sql.text)?.query_row(params, read).optional()
    }

    fn list<T>(
        &self,
        sql: Sql,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.prepare_cached(sql.text)?.query_map(params, read)?.collect()
    }
}
