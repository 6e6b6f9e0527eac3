//! Between Rust values and columns.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::rules::words::Word;
use crate::{GrantId, Stored, UserId};

/// Reads the columns of a row from left to right, in the order of the `SELECT`.
pub(super) struct Columns<'row> {
    row: &'row Row<'row>,
    next: usize,
}

impl<'row> Columns<'row> {
    pub(super) const fn new(row: &'row Row<'row>) -> Self {
        Self { row, next: 0 }
    }

    /// A column that rusqlite reads by itself.
    pub(super) fn plain<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<UnixSeconds> {
        self.plain().map(UnixSeconds)
    }

    pub(super) fn maybe_time(&mut self) -> rusqlite::Result<Option<UnixSeconds>> {
        Ok(self.plain::<Option<i64>>()?.map(UnixSeconds))
    }

    pub(super) fn user(&mut self) -> rusqlite::Result<UserId> {
        self.plain().map(|bytes| UserId(Uuid::from_bytes(bytes)))
    }

    pub(super) fn grant(&mut self) -> rusqlite::Result<GrantId> {
        self.plain().map(|bytes| GrantId(Uuid::from_bytes(bytes)))
    }

    pub(super) fn maybe_grant(&mut self) -> rusqlite::Result<Option<GrantId>> {
        let bytes = self.plain::<Option<[u8; 16]>>()?;
        Ok(bytes.map(|bytes| GrantId(Uuid::from_bytes(bytes))))
    }

    pub(super) fn scopes(&mut self) -> rusqlite::Result<ScopeSet> {
        self.text(|text| ScopeSet::from_stored(text).map_err(|_| "a malformed scope".into()))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        self.text(|text| serde_json::from_str(text).map_err(Into::into))
    }

    pub(super) fn word<T: Word>(&mut self) -> rusqlite::Result<T> {
        self.text(|text| T::from_word(text).ok_or_else(|| "an unknown word".into()))
    }

    /// A word that a newer program may have written.
    pub(super) fn stored_word<T: Word>(&mut self) -> rusqlite::Result<Stored<T>> {
        self.text(|text| Ok(Stored::from_word(text)))
    }

    pub(super) fn maybe_word<T: Word>(&mut self) -> rusqlite::Result<Option<T>> {
        let empty = self.row.get_ref(self.next)?.data_type() == Type::Null;
        if empty {
            self.next += 1;
            return Ok(None);
        }
        self.word().map(Some)
    }

    fn text<T>(
        &mut self,
        read: impl FnOnce(&str) -> std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>,
    ) -> rusqlite::Result<T> {
        let index = self.next;
        self.next += 1;
        let text = self.row.get_ref(index)?.as_str()?;
        read(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error))
    }
}
