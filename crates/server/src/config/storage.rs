//! `[storage]`

use std::fmt;
use std::ops::Deref;

use doorward_jose::constant_time_eq;

use super::Span;
use super::section::section;
use super::value::{Value, quoted};

section! {
    /// Where everything is kept.
    pub struct Storage in "storage" {
        /// The database: `sqlite://` and a path (relative to the working directory, or absolute with a third slash), for one process; or `postgres://user:password@host/database?sslmode=require`, for one or several.
        url: DatabaseUrl = DatabaseUrl::from("sqlite://data/doorward.db"),
        /// PostgreSQL: connections of this node at most, four to 1000, and one more that hears what other nodes change.
        connections: u32 = 16,
        /// PostgreSQL: how long a request waits for a free connection before it is told to try again.
        connection_wait: Span = Span::seconds(5),
        /// PostgreSQL: how long opening a connection may take. Of several servers in the URL each has its share of that, so that one that says nothing is passed over.
        connect_timeout: Span = Span::seconds(5),
        /// PostgreSQL: the longest that one statement may run, waiting for locks included. A server that has not answered two seconds later is taken for gone.
        statement_timeout: Span = Span::seconds(10),
        /// PostgreSQL: whether a pooler in transaction mode, such as `PgBouncer`, stands before the database.
        transaction_pooler: bool = false,
        /// How long what has ended or expired is kept, for operators who ask why: grants, codes, the records of tokens, signing keys, initial access tokens; and clients that registered themselves and were never allowed anything.
        retention: Span = Span::days(30),
    }
}

/// A database URL. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Whether a part of it is not shown.
    pub(super) fn has_password(&self) -> bool {
        self.to_string() != self.0
    }
}

impl<T: Into<String>> From<T> for DatabaseUrl {
    fn from(url: T) -> Self {
        Self(url.into())
    }
}

impl Deref for DatabaseUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    /// `…` stands for the password, between the user's colon and the last `@` before the path, or in the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, query) = match self.0.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (self.0.as_str(), None),
        };
        match split_credentials(address) {
            Some((before, after)) => write!(f, "{before}…{after}")?,
            None => f.write_str(address)?,
        }
        let Some(query) = query else { return Ok(()) };
        for (index, pair) in query.split('&').enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            f.write_str(if pair.starts_with("password=") {
                "password=…"
            } else {
                pair
            })?;
        }
        Ok(())
    }
}

fn split_credentials(address: &str) -> Option<(&str, &str)> {
    let start = address.find("://")? + 3;
    let at = start + address.get(start..)?.rfind('@')?;
    let colon = start + address.get(start..at)?.find(':')?;
    Some((&address[..=colon], &address[at..]))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Value for DatabaseUrl {
    const KIND: &'static str = "a database URL";
    const FREE_TEXT: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        String::from_text(text).map(Self)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }

    fn is_same(&self, other: &Self) -> bool {
        constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            (
                "postgres://ada:s3cr3t@db.example/doorward",
                "postgres://ada:…@db.example/doorward",
            ),
            ("postgres://ada:s3@cr3t@db.example", "postgres://ada:…@db.example"),
            (
                "postgres://db.example/x?user=ada&password=s3cr3t&sslmode=require",
                "postgres://db.example/x?user=ada&password=…&sslmode=require",
            ),
            (
                "postgres://ada@db.example:5432/doorward",
                "postgres://ada@db.example:5432/doorward",
            ),
            ("sqlite://data/doorward.db", "sqlite://data/doorward.db"),
        ] {
            assert_eq!(DatabaseUrl::from(url).to_string(), shown);
            assert!(!format!("{:?}", DatabaseUrl::from(url)).contains("s3"), "{url}");
        }
    }
}
