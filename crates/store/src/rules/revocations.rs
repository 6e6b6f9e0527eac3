//! What the rows of the log of revocations say.

use doorward_oauth::time::UnixSeconds;

use crate::{GrantId, Result, Revocation, RevocationPage, Revoked, StoreError};

/// A row of the log.
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) grant: Option<GrantId>,
    pub(crate) jti: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) revoked_at: UnixSeconds,
}

/// Where the log stands. `last`: the newest row there is.
pub(crate) struct Place {
    pub(crate) log: String,
    pub(crate) forgotten: i64,
    pub(crate) last: Option<i64>,
}

pub(crate) fn page(rows: Vec<Row>, place: Place) -> Result<RevocationPage> {
    let items: Vec<_> = rows.into_iter().map(entry).collect::<Result<_>>()?;
    let last = place.last.unwrap_or_default().max(place.forgotten);
    Ok(RevocationPage {
        log: place.log,
        forgotten: position(place.forgotten)?,
        last: position(last)?,
        items,
    })
}

fn entry(row: Row) -> Result<Revocation> {
    let revoked = match (row.grant, row.jti, row.client_id) {
        (Some(grant), None, None) => Revoked::Grant(grant),
        (None, Some(jti), None) => Revoked::Token(jti),
        (None, None, Some(client_id)) => Revoked::Client(client_id),
        _ => return Err(malformed()),
    };
    Ok(Revocation {
        position: position(row.position)?,
        revoked,
        revoked_at: row.revoked_at,
    })
}

fn position(stored: i64) -> Result<u64> {
    u64::try_from(stored).map_err(|_| malformed())
}

fn malformed() -> StoreError {
    StoreError::Internal("a row of the log of revocations is malformed".to_owned())
}

/// The last position that can be forgotten. What is forgotten is always a beginning of the log: an entry whose clock
/// was ahead keeps those behind it.
pub(crate) fn past(oldest: &[(i64, UnixSeconds)], before: UnixSeconds) -> Option<i64> {
    let old = oldest.iter().take_while(|(_, revoked_at)| *revoked_at < before);
    old.last().map(|(position, _)| *position)
}
