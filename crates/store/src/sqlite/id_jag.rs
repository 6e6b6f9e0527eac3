//! Identity assertions for other servers: the rows behind `rules::id_jag`.

use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::rules::id_jag::{Subject, refusal};
use crate::{IdJagOutcome, IssueIdJag, Result};

statements! {
    SUBJECT = concat!(
        "SELECT ", grants::grant_columns!(), ", ", grants::stands!(), ", \
         EXISTS (SELECT 1 FROM client a WHERE a.client_id = ?2 AND a.disabled = 0), \
         EXISTS (SELECT 1 FROM assertion_audience t WHERE t.slug = ?3 AND t.disabled = 0) \
         FROM access_grant g ", grants::joined_with_its_parties!(), " WHERE g.id = ?1"
    );
}

pub(super) fn issue(db: &Connection, issue: &IssueIdJag) -> Result<IdJagOutcome> {
    let subject = load(db, issue)?;
    if let Some(refused) = refusal(subject.as_ref(), issue)? {
        return Ok(refused);
    }
    issuances::insert(db, &issue.issuance)?;
    Ok(IdJagOutcome::Issued)
}

fn load(db: &Connection, issue: &IssueIdJag) -> Result<Option<Subject>> {
    let token = match &issue.issuance.parent {
        Some(parent) => issuances::find(db, parent)?,
        None => None,
    };
    let key = params![
        issue.issuance.grant.0.as_bytes(),
        issue.issuance.client_id,
        issue.audience
    ];
    Ok(db.find(SUBJECT, key, |row| {
        let mut columns = Columns::new(row);
        Ok(Subject {
            grant: grants::read(&mut columns)?,
            stands: columns.plain()?,
            client: columns.plain()?,
            audience: columns.plain()?,
            token,
        })
    })?)
}
