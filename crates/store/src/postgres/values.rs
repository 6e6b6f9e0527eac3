//! Between Rust values and columns.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, FromSqlOwned};

use super::errors::{Fallible, Fault};
use crate::rules::words::Word;
use crate::{GrantId, StoreError, Stored, UserId};

/// Reads the columns of a row from left to right, in the order of the `SELECT`.
pub(super) struct Columns<'row> {
    row: &'row Row,
    next: usize,
}

impl<'row> Columns<'row> {
    pub(super) const fn new(row: &'row Row) -> Self {
        Self { row, next: 0 }
    }

    /// A column that the driver reads by itself.
    pub(super) fn plain<T: FromSql<'row>>(&mut self) -> Fallible<T> {
        let index = self.next;
        self.next += 1;
        Ok(self.row.try_get(index)?)
    }

    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Fallible<T> {
        T::try_from(self.plain::<i64>()?).map_err(|_| malformed("a number out of range"))
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Fallible<[u8; N]> {
        <[u8; N]>::try_from(self.plain::<&[u8]>()?).map_err(|_| malformed("bytes of another length"))
    }

    pub(super) fn time(&mut self) -> Fallible<UnixSeconds> {
        self.plain().map(UnixSeconds)
    }

    pub(super) fn maybe_time(&mut self) -> Fallible<Option<UnixSeconds>> {
        Ok(self.plain::<Option<i64>>()?.map(UnixSeconds))
    }

    pub(super) fn times(&mut self) -> Fallible<Vec<UnixSeconds>> {
        Ok(self.plain::<Vec<i64>>()?.into_iter().map(UnixSeconds).collect())
    }

    pub(super) fn user(&mut self) -> Fallible<UserId> {
        self.plain().map(UserId)
    }

    pub(super) fn grant(&mut self) -> Fallible<GrantId> {
        self.plain().map(GrantId)
    }

    pub(super) fn maybe_grant(&mut self) -> Fallible<Option<GrantId>> {
        Ok(self.plain::<Option<uuid::Uuid>>()?.map(GrantId))
    }

    pub(super) fn scopes(&mut self) -> Fallible<ScopeSet> {
        ScopeSet::from_stored(self.plain()?).map_err(|_| malformed("a malformed scope"))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Fallible<T> {
        serde_json::from_str(self.plain()?).map_err(|_| malformed("malformed JSON"))
    }

    pub(super) fn word<T: Word>(&mut self) -> Fallible<T> {
        T::from_word(self.plain()?).ok_or_else(|| malformed("an unknown word"))
    }

    /// A word that a newer program may have written.
    pub(super) fn stored_word<T: Word>(&mut self) -> Fallible<Stored<T>> {
        Ok(Stored::from_word(self.plain()?))
    }

    pub(super) fn maybe_word<T: Word>(&mut self) -> Fallible<Option<T>> {
        let word: Option<&str> = self.plain()?;
        word.map(|word| T::from_word(word).ok_or_else(|| malformed("an unknown word")))
            .transpose()
    }
}

/// Reads a row of one column.
pub(super) fn only<T: FromSqlOwned>(columns: &mut Columns<'_>) -> Fallible<T> {
    columns.plain()
}

fn malformed(what: &str) -> Fault {
    Fault::Refused(StoreError::Internal(format!(
        "a row of the database holds {what}"
    )))
}

/// Whether PostgreSQL can hold this text; what it cannot hold is not there.
pub(super) fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
}

/// The same of all texts of a filter that there are.
pub(super) fn can_all_be_stored<const N: usize>(texts: [&Option<String>; N]) -> bool {
    texts.into_iter().flatten().all(|text| can_be_stored(text))
}
