//! Tokens that were exchanged for others: the rows behind `rules::exchange`.

use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, find as row, statements};
use super::writes::Writes;
use super::{grants, issuances};
use crate::rules::exchange::{Subject, refusal};
use crate::{ExchangeOutcome, ExchangeToken};

statements! {
    /// Whoever revokes the grant or one of its tokens waits, or is waited for; a rotation does not.
    HOLD_GRANT = "SELECT 1 FROM access_grant g WHERE g.id = $1 FOR KEY SHARE";
    SUBJECT = concat!(
        "SELECT ", issuances::columns!("i"), ", g.state, ", grants::stands!(), ", \
         EXISTS (SELECT 1 FROM client a WHERE a.client_id = $2 AND NOT a.disabled), \
         EXISTS (SELECT 1 FROM resource t WHERE t.uri = $3) \
         FROM issuance i JOIN access_grant g ON g.id = i.grant_id WHERE i.jti = $1"
    );
}

/// Two statements in one round trip: the second one sees what was revoked before the first one had its lock.
pub(super) async fn hold(db: &Connection, exchange: &ExchangeToken) -> Fallible<Option<Subject>> {
    let grant: [&(dyn ToSql + Sync); 1] = [&exchange.issuance.grant.0];
    let (held, subject) = tokio::join!(
        biased;
        row(db, HOLD_GRANT, &grant, |_| Ok(())),
        load(db, exchange),
    );
    held?;
    subject
}

pub(super) fn exchange(
    subject: Option<&Subject>,
    exchange: &ExchangeToken,
) -> Fallible<(ExchangeOutcome, Writes)> {
    if let Some(refused) = refusal(subject, exchange)? {
        return Ok((refused, Writes::default()));
    }
    let recorded = issuances::insertion(&exchange.issuance);
    Ok((ExchangeOutcome::Issued, recorded.into()))
}

async fn load(db: &Connection, exchange: &ExchangeToken) -> Fallible<Option<Subject>> {
    let issuance = &exchange.issuance;
    let params: [&(dyn ToSql + Sync); 3] = [&issuance.parent, &issuance.client_id, &issuance.resource];
    row(db, SUBJECT, &params, |columns| {
        Ok(Subject {
            issuance: issuances::read(columns)?,
            state: columns.word()?,
            stands: columns.plain()?,
            client: columns.plain()?,
            resource: columns.plain()?,
        })
    })
    .await
}
