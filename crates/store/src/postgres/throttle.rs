//! The sign-in throttle's rows.

use doorward_oauth::time::UnixSeconds;

use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, list, statements};
use super::values::Columns;
use super::work::lock;
use super::writes::{Write, Writes, values};
use crate::Digest;
use crate::rules::throttle::{Attempts, digests};

statements! {
    FIND = "SELECT key_digest, attempts, last_at FROM login_throttle WHERE key_digest = ANY ($1)";
    COUNT = "INSERT INTO login_throttle (key_digest, attempts, last_at, forget_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (key_digest) DO UPDATE SET attempts = excluded.attempts, last_at = excluded.last_at, \
             forget_at = excluded.forget_at";
    CLEAR = "DELETE FROM login_throttle WHERE key_digest = ANY ($1)";
    GIVE_BACK = "UPDATE login_throttle SET attempts = attempts - 1 WHERE key_digest = ANY ($1) AND attempts > 0";
}

/// Keys with the attempts on them. A key may have no row yet, so the keys themselves are locked.
pub(super) async fn hold(db: &Connection, keys: &[String]) -> Fallible<Vec<(Digest, Option<Attempts>)>> {
    let keys = digests(keys);
    let wanted = slices(&keys);
    let params: [&(dyn ToSql + Sync); 1] = [&wanted];
    let read = |columns: &mut Columns<'_>| {
        let key: Digest = columns.bytes()?;
        let attempts = Attempts {
            count: columns.number()?,
            last_at: columns.time()?,
        };
        Ok((key, attempts))
    };
    let (locked, rows) = tokio::join!(biased; lock(db, &keys), list(db, FIND, &params, read));
    locked?;
    let rows = rows?;
    let stored = keys.iter().map(|key| {
        let row = rows.iter().find(|(of, _)| of == key);
        (*key, row.map(|(_, attempts)| *attempts))
    });
    Ok(stored.collect())
}

/// What an attempt leaves.
pub(super) fn counts(changed: Vec<(Digest, Attempts)>, forget_at: UnixSeconds) -> Writes {
    let count = |(key, Attempts { count, last_at }): (Digest, Attempts)| {
        Write::new(
            COUNT,
            values![key.to_vec(), i64::from(count), last_at.0, forget_at.0],
        )
    };
    changed.into_iter().map(count).collect()
}

/// In one order with everybody else who takes several.
pub(super) async fn hold_all(db: &Connection, all_of: &[String], one_of: &[String]) -> Fallible<()> {
    lock(db, &digests(&[all_of, one_of].concat())).await
}

/// Forgets all attempts of some keys, and one of each of others.
pub(super) fn clear(all_of: &[String], one_of: &[String]) -> Writes {
    let to = |sql, keys: &[String]| {
        let keys: Vec<Vec<u8>> = digests(keys).iter().map(|key| key.to_vec()).collect();
        (!keys.is_empty()).then(|| Write::new(sql, values![keys]))
    };
    [to(CLEAR, all_of), to(GIVE_BACK, one_of)]
        .into_iter()
        .flatten()
        .collect()
}

fn slices(keys: &[Digest]) -> Vec<&[u8]> {
    keys.iter().map(Digest::as_slice).collect()
}
