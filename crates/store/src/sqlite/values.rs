//! Between Rust values and columns.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::operations::PageRequest;
use crate::{
    ClientSource, Digest, EndReason, GrantId, GrantState, Page, Result, SigningKeyState, StoreError, UserId,
};

/// A value that is stored as a word.
pub(super) trait Word: Sized + Copy + 'static {
    const WORDS: &'static [(Self, &'static str)];

    /// The stored word.
    fn word(self) -> &'static str;

    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(value, _)| *value)
    }
}

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {
        $(impl Word for $type {
            const WORDS: &'static [(Self, &'static str)] = &[$(($type::$variant, $word)),*];
            fn word(self) -> &'static str {
                match self { $($type::$variant => $word),* }
            }
        })*
    };
}

words! {
    ClientSource { Admin = "admin", Dynamic = "dynamic", MetadataDocument = "metadata_document" }
    GrantState { Pending = "pending", Active = "active", Ended = "ended" }
    EndReason {
        CodeReplayed = "code_replayed",
        CodeBurned = "code_burned",
        RefreshTokenReused = "refresh_token_reused",
        RevokedByClient = "revoked_by_client",
        RevokedByUser = "revoked_by_user",
        RevokedByAdmin = "revoked_by_admin",
        ClientDeleted = "client_deleted",
        UserDisabled = "user_disabled",
        ResourceDeleted = "resource_deleted",
        SessionEnded = "session_ended",
    }
    SigningKeyState { Active = "active", Previous = "previous" }
}

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

    pub(super) fn scopes(&mut self) -> rusqlite::Result<ScopeSet> {
        self.text(|text| ScopeSet::parse(text).map_err(|_| "a malformed scope".into()))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        self.text(|text| serde_json::from_str(text).map_err(Into::into))
    }

    pub(super) fn word<T: Word>(&mut self) -> rusqlite::Result<T> {
        self.text(|text| T::from_word(text).ok_or_else(|| "an unknown word".into()))
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

/// A list as JSON text.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal(error.to_string()))
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// Rows on a page: what was asked for, within the bounds of [`PageRequest::limit`].
fn rows_shown(page: &PageRequest) -> u32 {
    page.limit.clamp(1, 200)
}

/// How many rows to fetch for a page: one more than it shows, to know whether there is a next one.
pub(super) fn rows_to_fetch(page: &PageRequest) -> u32 {
    rows_shown(page) + 1
}

/// The page out of rows fetched with [`rows_to_fetch`].
pub(super) fn page<T>(mut items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> String) -> Page<T> {
    let limit = rows_shown(request) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(key) } else { None };
    Page { items, next }
}

/// The id that a page begins after.
pub(super) fn page_start(request: &PageRequest) -> Result<Option<Uuid>> {
    let parse = |text: &String| {
        Uuid::try_parse(text).map_err(|_| StoreError::Invalid("this page token was given by no page"))
    };
    request.after.as_ref().map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Word + PartialEq + std::fmt::Debug>() {
        for (value, word) in T::WORDS {
            assert_eq!(value.word(), *word);
            assert_eq!(T::from_word(word), Some(*value));
        }
        assert_eq!(T::from_word(""), None);
    }

    #[test]
    fn every_word_reads_back() {
        round_trip::<ClientSource>();
        round_trip::<GrantState>();
        round_trip::<EndReason>();
        round_trip::<SigningKeyState>();
    }
}
