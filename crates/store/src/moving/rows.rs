//! Rows in the binary format of PostgreSQL's `COPY`, in which it takes and gives them, and sums by which rows are compared.

use std::fmt::Write as _;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::layout::{Kind, Table};
use crate::rules::sha256;
use crate::{Result, StoreError};

/// Signature, flags, and the length of an extension: how the stream begins.
pub(crate) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// How it ends: no row has this many fields.
pub(crate) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The type of the elements of an array: `bigint`.
const BIGINT: i32 = 20;

/// How many rows, and the sum of their digests (SHA-256, in four parts): equal when the same rows are in two tables, in
/// whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    parts: [u64; 4],
}

impl Sum {
    /// Adds a row as `COPY` writes it.
    pub(crate) fn add(&mut self, row: &[u8]) {
        let digest = sha256(row);
        let (digest, _) = digest.as_chunks::<8>();
        for (part, piece) in self.parts.iter_mut().zip(digest) {
            *part = part.wrapping_add(u64::from_be_bytes(*piece));
        }
        self.rows += 1;
    }
}

/// Writes a row. Refuses a value that PostgreSQL cannot hold, and names it.
pub(crate) fn write(row: &Row<'_>, table: &Table, out: &mut Vec<u8>) -> Result<()> {
    let count = i16::try_from(table.columns.len()).map_err(|_| internal("a table has too many columns"))?;
    out.extend_from_slice(&count.to_be_bytes());
    for (index, column) in table.columns.iter().enumerate() {
        let value = row.get_ref(index)?;
        if let Err(why) = field(column.kind, value, out) {
            return Err(StoreError::Unusable(format!(
                "PostgreSQL cannot hold {} of the row of {} with {}, because of {why}; nothing was moved: change or remove that row first",
                column.name,
                table.name,
                key(row, table)?
            )));
        }
    }
    Ok(())
}

/// The length of a field and its value.
fn field(kind: Kind, value: ValueRef<'_>, out: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
    if value == ValueRef::Null {
        out.extend_from_slice(&NULL);
        return Ok(());
    }
    let length_at = out.len();
    out.extend_from_slice(&NULL);
    match (kind, value) {
        (Kind::Number, ValueRef::Integer(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (Kind::Flag, ValueRef::Integer(number @ 0..=1)) => out.push(u8::from(number == 1)),
        (Kind::Text, ValueRef::Text(text)) => {
            if text.contains(&0) {
                return Err("a NUL character in the text");
            }
            std::str::from_utf8(text).map_err(|_| "text that is not UTF-8")?;
            out.extend_from_slice(text);
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => out.extend_from_slice(bytes),
        (Kind::Uuid, ValueRef::Blob(bytes)) if bytes.len() == 16 => out.extend_from_slice(bytes),
        (Kind::Numbers, ValueRef::Blob(bytes)) => numbers(bytes, out)?,
        _ => return Err("a value of another form"),
    }
    let length = i32::try_from(out.len() - length_at - NULL.len()).map_err(|_| "its size")?;
    if let Some(place) = out.get_mut(length_at..length_at + NULL.len()) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// An array of one dimension that begins with 1, or of none when it is empty.
fn numbers(bytes: &[u8], out: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err("a value of another form");
    }
    let count = i32::try_from(numbers.len()).map_err(|_| "its size")?;
    let mut put = |number: i32| out.extend_from_slice(&number.to_be_bytes());
    put(i32::from(count > 0));
    put(0);
    put(BIGINT);
    if count > 0 {
        put(count);
        put(1);
    }
    for number in numbers {
        out.extend_from_slice(&8_i32.to_be_bytes());
        out.extend_from_slice(number);
    }
    Ok(())
}

/// The key of a row, for people.
pub(crate) fn key(row: &Row<'_>, table: &Table) -> Result<String> {
    let mut named = String::new();
    for (index, column) in table.key() {
        let before = if named.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(named, "{before}{} {}", column.name, shown(row.get_ref(index)?));
    }
    Ok(named)
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

fn internal(why: &str) -> StoreError {
    StoreError::Internal(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, value: ValueRef<'_>) -> std::result::Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        field(kind, value, &mut out).map(|()| out)
    }

    #[test]
    fn what_postgresql_cannot_hold_is_refused() {
        for (kind, value) in [
            (Kind::Text, ValueRef::Text(b"a\0b")),
            (Kind::Text, ValueRef::Text(b"\xff")),
            (Kind::Uuid, ValueRef::Blob(&[7; 15])),
            (Kind::Flag, ValueRef::Integer(2)),
            (Kind::Numbers, ValueRef::Blob(&[7; 12])),
            (Kind::Number, ValueRef::Text(b"7")),
            (Kind::Bytes, ValueRef::Text(b"7")),
        ] {
            assert!(written(kind, value).is_err(), "{kind:?} {value:?}");
        }
    }

    #[test]
    fn nothing_is_no_empty_text() {
        assert_eq!(written(Kind::Text, ValueRef::Null).unwrap(), NULL);
        assert_eq!(written(Kind::Text, ValueRef::Text(b"")).unwrap(), [0; 4]);
    }

    #[test]
    fn sums_tell_rows_apart_but_not_their_order() {
        let sum = |rows: &[&[u8]]| {
            let mut sum = Sum::default();
            for row in rows {
                sum.add(row);
            }
            sum
        };
        assert_eq!(sum(&[b"a", b"b"]), sum(&[b"b", b"a"]));
        assert_ne!(sum(&[b"a", b"b"]), sum(&[b"a", b"c"]));
        assert_ne!(sum(&[b"a", b"a"]), sum(&[b"b", b"b"]));
        assert_ne!(sum(&[b"a"]), sum(&[b"a", b"a"]));
    }
}
