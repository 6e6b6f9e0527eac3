//! Identity assertions for other servers: the rows behind `rules::id_jag`.

use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, find as row, statements};
use super::values::Columns;
use super::writes::Writes;
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

/// Several statements in one round trip: the later ones see what was revoked before the first one had its lock.
pub(super) async fn hold(db: &Connection, issue: &IssueIdJag) -> Fallible<Option<Subject>> {
    let params: [&(dyn ToSql + Sync); 3] = [
        &issue.issuance.grant.0,
        &issue.issuance.client_id,
        &issue.audience,
    ];
    let token = Box::pin(async {
        match &issue.issuance.parent {
            Some(parent) => issuances::find(db, parent).await,
            None => Ok(None),
        }
    });
    let read = |columns: &mut Columns<'_>| {
        Ok((
            grants::read(columns)?,
            columns.plain()?,
            columns.plain()?,
            columns.plain()?,
        ))
    };
    let (held, token, subject) = tokio::join!(
        biased;
        row(db, HOLD_GRANT, &params[..1], |_| Ok(())),
        token,
        row(db, SUBJECT, &params, read),
    );
    held?;
    let token = token?;
    Ok(subject?.map(|(grant, stands, client, audience)| Subject {
        grant,
        stands,
        client,
        audience,
        token,
    }))
}

pub(super) fn issue(subject: Option<&Subject>, issue: &IssueIdJag) -> Fallible<(IdJagOutcome, Writes)> {
    if let Some(refused) = refusal(subject, issue)? {
        return Ok((refused, Writes::default()));
    }
    let recorded = issuances::insertion(&issue.issuance);
    Ok((IdJagOutcome::Issued, recorded.into()))
}
