//! Tokens on the word of a trusted issuer: the rows behind `rules::asserted`.

use tokio_postgres::types::ToSql;

use super::errors::{Fallible, Fault};
use super::grants::first_values;
use super::spent::spend_each;
use super::statements::{Connection, find as row, get, statements};
use super::values::only;
use super::work::lock;
use super::writes::{Write, Writes, values};
use super::{clients, issuances, resources, trusted_issuers, users};
use crate::rules::asserted::{Standing, refuse_incoherent};
use crate::rules::clients::{Standing as StandingClient, is_news};
use crate::rules::{json, sha256};
use crate::{AssertedOutcome, Client, Grant, Issuance, IssueAsserted, SpendOutcome};

statements! {
    FIND = "SELECT g.id, g.scopes, g.last_used_at, g.authenticated_at FROM access_grant g \
            WHERE g.trusted_issuer = $1 AND g.client_id = $2 AND g.subject = $3 AND g.resource = $4 \
            AND g.state = 'active' FOR NO KEY UPDATE";
    ENDED_SINCE = "SELECT EXISTS (SELECT 1 FROM access_grant g WHERE g.trusted_issuer = $1 AND g.client_id = $2 \
                   AND g.subject = $3 AND g.resource = $4 AND g.state = 'ended' AND g.ended_at >= $5) \
                   OR EXISTS (SELECT 1 FROM revocation_log WHERE id = 1 AND ended_before >= $5)";
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at, trusted_issuer) \
              VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $9, 0, $7, '{}', $10, $11, $12)";
    TOUCH = "UPDATE access_grant SET scopes = $2, last_used_at = greatest(last_used_at, $3), authenticated_at = $4, \
             methods = $5 WHERE id = $1";
}

/// What a token on an issuer's word rests on, as it stands until the end of the transaction.
pub(super) struct Held<'i> {
    refusal: Option<AssertedOutcome>,
    standing: Option<Standing>,
    /// The snapshot of the client, where it is another one than the stored one.
    news: Option<&'i Client>,
}

/// One round trip; with the snapshot of a client one more, since it says how the client is locked.
pub(super) async fn hold<'i>(db: &Connection, issue: &'i IssueAsserted) -> Fallible<Held<'i>> {
    refuse_incoherent(issue)?;
    let grant = &issue.grant;
    // Two first tokens at once: the second one finds the grant of the first. Before any row is locked: whoever waits
    // here with the client's row in hand would stop the one that is about to write it.
    let issuer = grant.trusted_issuer.as_deref().unwrap_or_default();
    let name = [issuer, &grant.client_id, &grant.subject, &grant.resource].join("\0");
    let names = [sha256(name.as_bytes())];
    let holding = Box::pin(async {
        let news = news(db, issue).await?;
        hold_all(db, issue, issuer, news).await
    });
    let (locked, held) = tokio::join!(biased; lock(db, &names), holding);
    locked?;
    held
}

async fn hold_all<'i>(
    db: &Connection,
    issue: &'i IssueAsserted,
    issuer: &str,
    news: Option<&'i Client>,
) -> Fallible<Held<'i>> {
    let grant = &issue.grant;
    let of_person = !grant.user.is_nobody();
    let person = Box::pin(async { Ok::<_, Fault>(!of_person || users::hold(db, grant.user).await?) });
    let client = Box::pin(async {
        if of_person {
            clients::hold(db, &grant.client_id, news.is_some()).await
        } else {
            Ok(None)
        }
    });
    let linked = Box::pin(async {
        match &issue.linked {
            Some(linked) => trusted_issuers::hold_link(db, issuer, linked, grant.user).await,
            None => Ok(true),
        }
    });
    // The driver sends in the order of the first poll, so all nodes lock in one order. First the live one, locked: whoever ends
    // it was before, and shows in what ended, or waits.
    let (person, resource, client, trusted, linked, standing, ended_since) = tokio::join!(
        biased;
        person,
        resources::hold(db, &grant.resource),
        client,
        trusted_issuers::hold(db, issuer, &issue.terms),
        linked,
        Box::pin(find(db, grant)),
        Box::pin(ended_since(db, issue)),
    );
    let (person, resource, client) = (person?, resource?, client?);
    let (trusted, linked, standing, ended_since) = (trusted?, linked?, standing?, ended_since?);
    let client_gone = of_person && is_client_gone(issue, client.as_ref(), news.is_some())?;
    let refusal = if !person {
        Some(AssertedOutcome::PersonGone)
    } else if !resource {
        Some(AssertedOutcome::ResourceGone)
    } else if client_gone {
        Some(AssertedOutcome::ClientGone)
    } else if !trusted {
        Some(AssertedOutcome::IssuerGone)
    } else if !linked {
        Some(AssertedOutcome::PersonGone)
    } else {
        ended_since.then_some(AssertedOutcome::EndedSince)
    };
    Ok(Held {
        refusal,
        standing,
        news,
    })
}

fn is_client_gone(issue: &IssueAsserted, client: Option<&StandingClient>, is_news: bool) -> Fallible<bool> {
    if client.is_none() && issue.client.is_some() && !is_news {
        return Err(Fault::Contended(
            "a client was removed at its first token".to_owned(),
        ));
    }
    Ok(client.map_or(issue.client.is_none(), |client| client.disabled))
}

/// Every check first, then every change.
pub(super) async fn issue(
    db: &Connection,
    issue: &IssueAsserted,
    held: Held<'_>,
) -> Fallible<(AssertedOutcome, Writes)> {
    if let Some(refused) = held.refusal {
        return Ok((refused, Writes::default()));
    }
    if let SpendOutcome::UsedBefore(place) = spend_each(db, &issue.spends).await? {
        return Ok((AssertedOutcome::UsedBefore(place), Writes::default()));
    }
    if let Some(snapshot) = held.news {
        clients::keep_snapshot(db, snapshot).await?;
    }
    let mut writes = Writes::default();
    let id = if let Some(standing) = held.standing {
        if standing.needs_touch(issue) {
            writes.extend([touch(&standing, issue)?]);
        }
        standing.id
    } else {
        writes.extend([insertion(&issue.grant)?]);
        issue.grant.id
    };
    let issuance = Issuance {
        grant: id,
        ..issue.issuance.clone()
    };
    writes.extend([issuances::insertion(&issuance)]);
    Ok((AssertedOutcome::Issued(id), writes))
}

/// The snapshot of the client, where it is another one than the stored one.
async fn news<'i>(db: &Connection, issue: &'i IssueAsserted) -> Fallible<Option<&'i Client>> {
    let Some(snapshot) = &issue.client else {
        return Ok(None);
    };
    let stored = clients::find(db, &snapshot.client_id).await?;
    Ok(Some(snapshot).filter(|snapshot| is_news(stored.as_ref(), snapshot)))
}

async fn find(db: &Connection, grant: &Grant) -> Fallible<Option<Standing>> {
    let params: [&(dyn ToSql + Sync); 4] = [
        &grant.trusted_issuer,
        &grant.client_id,
        &grant.subject,
        &grant.resource,
    ];
    row(db, FIND, &params, |columns| {
        Ok(Standing {
            id: columns.grant()?,
            scopes: columns.scopes()?,
            last_used_at: columns.time()?,
            authenticated_at: columns.time()?,
        })
    })
    .await
}

async fn ended_since(db: &Connection, issue: &IssueAsserted) -> Fallible<bool> {
    let grant = &issue.grant;
    let params: [&(dyn ToSql + Sync); 5] = [
        &grant.trusted_issuer,
        &grant.client_id,
        &grant.subject,
        &grant.resource,
        &issue.made_at.0,
    ];
    get(db, ENDED_SINCE, &params, only).await
}

fn insertion(grant: &Grant) -> Fallible<Write> {
    let mut values = first_values(grant)?;
    values.push(Box::new(grant.trusted_issuer.clone()));
    Ok(Write::new(INSERT, values))
}

fn touch(standing: &Standing, issue: &IssueAsserted) -> Fallible<Write> {
    let grant = &issue.grant;
    let values = values![
        standing.id.0,
        grant.scopes.to_string(),
        issue.now.0,
        grant.authenticated_at.0,
        json(&grant.methods)?,
    ];
    Ok(Write::new(TOUCH, values))
}
