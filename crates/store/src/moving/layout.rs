//! What is moved, and how a column of one engine becomes one of the other.

use crate::{Result, StoreError};

/// What is moved, each table after those that its rows name (foreign keys). What PostgreSQL's triggers count comes last.
pub(crate) const TABLES: &[&str] = &[
    "resource",
    "client",
    "person",
    "trusted_issuer",
    "assertion_audience",
    "signing_key",
    "server_secret",
    "admin_key",
    "initial_access_token",
    "login_throttle",
    "spent",
    "session",
    "consent",
    "access_grant",
    "grant_further",
    "code",
    "device_authorization",
    "linked_subject",
    "issuance",
    "audit_event",
    "revocation",
    "revocation_log",
    "served",
    "heartbeat",
    "change_count",
];

/// In these the schema itself puts rows, and what is moved takes their place.
pub(crate) const SEEDED: &[&str] = &["revocation_log", "heartbeat", "change_count"];

/// Tables of PostgreSQL that nothing is moved into, but that have to be empty. `transaction_mark`: what became of its own
/// transactions, which the other engine need not ask.
pub(crate) const NOT_FILLED: &[&str] = &["transaction_mark"];

/// How values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 64 bits.
    Number,
    /// 0 or 1 in SQLite.
    Flag,
    Text,
    Bytes,
    /// 16 bytes in SQLite.
    Uuid,
    /// 8 bytes each in SQLite.
    Numbers,
}

impl Kind {
    /// Of a column that has these types; `None` when nobody has said how one becomes the other.
    fn of(sqlite: &str, postgres: &str) -> Option<Self> {
        Some(match (sqlite, postgres) {
            ("INTEGER", "bigint") => Self::Number,
            ("INTEGER", "boolean") => Self::Flag,
            ("TEXT", "text") => Self::Text,
            ("BLOB", "bytea") => Self::Bytes,
            ("BLOB", "uuid") => Self::Uuid,
            ("BLOB", "bigint[]") => Self::Numbers,
            _ => return None,
        })
    }
}

/// A column as an engine describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Part of the key; only SQLite says so.
    pub(crate) is_key: bool,
    /// The server counts it up; only PostgreSQL says so.
    pub(crate) is_counted: bool,
}

/// A column that both engines have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_key: bool,
    /// PostgreSQL counts it up, after the highest that was ever given.
    pub(crate) is_counted: bool,
}

/// A table that is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// The columns of both engines brought together. Refuses one that the other engine has not got.
    pub(crate) fn of(
        name: &'static str,
        sqlite: Vec<Described>,
        mut postgres: Vec<Described>,
    ) -> Result<Self> {
        let differ = |column: &str| {
            StoreError::Internal(format!(
                "{name}.{column} is not the same column on both engines, so it cannot be moved"
            ))
        };
        let mut columns = Vec::new();
        for column in sqlite {
            let other = postgres.iter().position(|other| other.name == column.name);
            let other = postgres.swap_remove(other.ok_or_else(|| differ(&column.name))?);
            columns.push(Column {
                kind: Kind::of(&column.kind, &other.kind).ok_or_else(|| differ(&column.name))?,
                name: column.name,
                is_key: column.is_key,
                is_counted: other.is_counted,
            });
        }
        match postgres.first() {
            Some(left) => Err(differ(&left.name)),
            None if columns.is_empty() => Err(differ("*")),
            None => Ok(Self { name, columns }),
        }
    }

    /// The names of the columns, for a statement.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }

    pub(crate) fn key(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.is_key)
    }

    /// The names of the key's columns, for a statement.
    pub(crate) fn key_names(&self) -> String {
        let names: Vec<_> = self.key().map(|(_, column)| column.name.as_str()).collect();
        names.join(", ")
    }

    /// The column that PostgreSQL counts up, if there is one.
    pub(crate) fn counted(&self) -> Option<&str> {
        let counted = self.columns.iter().find(|column| column.is_counted);
        counted.map(|column| column.name.as_str())
    }
}
