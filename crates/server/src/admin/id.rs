//! Ids of records in a query or a body.

use serde::Deserialize;
use uuid::Uuid;

use super::error::AdminError;

/// An id as it was written. One in the path is read with it ([`Path`](super::error::Path)).
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Id(String);

impl Id {
    /// The same, where there is one.
    pub(super) fn read_any(id: Option<&Self>, member: &str) -> Result<Option<Uuid>, AdminError> {
        id.map(|id| id.read(member)).transpose()
    }

    /// The id itself; `member` is what the request calls it.
    pub(super) fn read(&self, member: &str) -> Result<Uuid, AdminError> {
        Uuid::try_parse(&self.0).map_err(|_| {
            AdminError::Invalid(format!(
                "The id in {member} is malformed; list the records to see their ids."
            ))
        })
    }
}
