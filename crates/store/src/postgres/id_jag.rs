//! Identity assertions for other servers: the rows behind `rules::id_jag`.

use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, find as row, statements};
use super::{grants, issuances};
use crate::rules::id_jag::{Subject, refusal};
use crate::{IdJagOutcome, IssueIdJag};

statements! {
    /// Whoever revokes the grant or one of its tokens waits, or is waited for.
    HOLD_GRANT = "SELECT 1 FROM access_grant g WHERE g.id = $1 FOR KEY SHARE";
    SUBJECT = concat!(
        "SELECT ", grants::grant_columns!(), ", ", grants::stands!(), ", \
         EXISTS (SELECT 1 FROM client a WHERE a.client_id = $2 AND NOT a.disabled), \
         EXISTS (SELECT 1 FROM assertion_audience t WHERE t.slug = $3 AND NOT t.disabled) \
         FROM access_grant g WHERE g.id = $1"
    );
}

/// Several statements: the later ones see what was revoked before the first one had its lock.
pub(super) async fn issue(db: &Connection, issue: &IssueIdJag) -> Fallible<IdJagOutcome> {
    row(db, HOLD_GRANT, &[&issue.issuance.grant.0], |_| Ok(())).await?;
    let subject = load(db, issue).await?;
    if let Some(refused) = refusal(subject.as_ref(), issue)? {
        return Ok(refused);
    }
    issuances::insert(db, &issue.issuance).await?;
    Ok(IdJagOutcome::Issued)
}

async fn load(db: &Connection, issue: &IssueIdJag) -> Fallible<Option<Subject>> {
    let token = match &issue.issuance.parent {
        Some(parent) => issuances::find(db, parent).await?,
        None => None,
    };
    let params: [&(dyn ToSql + Sync); 3] = [
        &issue.issuance.grant.0,
        &issue.issuance.client_id,
        &issue.audience,
    ];
    row(db, SUBJECT, &params, |columns| {
        Ok(Subject {
            grant: grants::read(columns)?,
            stands: columns.plain()?,
            client: columns.plain()?,
            audience: columns.plain()?,
            token,
        })
    })
    .await
}
