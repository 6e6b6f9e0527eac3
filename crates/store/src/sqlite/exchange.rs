//! Tokens that were exchanged for others: the rows behind `rules::exchange`.

use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::rules::exchange::{Subject, refusal};
use crate::{ExchangeOutcome, ExchangeToken, Result};

statements! {
    SUBJECT = concat!(
        "SELECT ", issuances::columns!("i"), ", g.state, ", grants::stands!(), ", \
         EXISTS (SELECT 1 FROM client a WHERE a.client_id = ?2 AND a.disabled = 0), \
         EXISTS (SELECT 1 FROM resource t WHERE t.uri = ?3) \
         FROM issuance i JOIN access_grant g ON g.id = i.grant_id ", grants::joined_with_its_parties!(),
        " WHERE i.jti = ?1"
    );
}

pub(super) fn exchange(db: &Connection, exchange: &ExchangeToken) -> Result<ExchangeOutcome> {
    let subject = load(db, exchange)?;
    if let Some(refused) = refusal(subject.as_ref(), exchange)? {
        return Ok(refused);
    }
    issuances::insert(db, &exchange.issuance)?;
    Ok(ExchangeOutcome::Issued)
}

fn load(db: &Connection, exchange: &ExchangeToken) -> Result<Option<Subject>> {
    let issuance = &exchange.issuance;
    let key = params![issuance.parent, issuance.client_id, issuance.resource];
    Ok(db.find(SUBJECT, key, |row| {
        let mut columns = Columns::new(row);
        Ok(Subject {
            issuance: issuances::read(&mut columns)?,
            state: columns.word()?,
            stands: columns.plain()?,
            client: columns.plain()?,
            resource: columns.plain()?,
        })
    })?)
}
