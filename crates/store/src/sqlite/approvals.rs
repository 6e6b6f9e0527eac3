//! A person's approval: a pending grant and its code.

use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{clients, consents, devices, grants, resources, sessions};
use crate::rules::approvals::{Earlier, refuse_incoherent, repeat};
use crate::rules::clients::is_news;
use crate::rules::consents::is_ground_for;
use crate::{Approval, ApprovalOutcome, Approved, GrantState, Result, StoreError};

statements! {
    BY_REQUEST = "SELECT c.digest, c.grant_id, c.expires_at, c.redeemed_at, g.user_id, g.state FROM code c \
                  JOIN access_grant g ON g.id = c.grant_id WHERE c.request_id = ?1";
    INSERT_CODE = "INSERT INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, \
                   code_challenge, stay_connected, expires_at, dpop_jkt) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
}

/// Every check first, then every change.
pub(super) fn approve(db: &Connection, approval: &Approval) -> Result<ApprovalOutcome> {
    refuse_incoherent(approval)?;
    if let Some(refusal) = refusal(db, approval)? {
        return Ok(refusal);
    }
    if let Some(earlier) = find_earlier(db, approval)? {
        return repeat(approval, &earlier);
    }
    if approval.code.is_of_device() && devices::is_denied(db, &approval.code.digest)? {
        return Err(StoreError::Conflict);
    }
    if let Some(client) = &approval.client {
        clients::keep_snapshot(db, client)?;
    }
    grants::insert(db, &approval.grant)?;
    insert_code(db, approval)?;
    if let Some(consent) = &approval.consent {
        consents::merge(db, &approval.grant, consent, &approval.declined)?;
    }
    Ok(ApprovalOutcome::Approved(Approved {
        grant: approval.grant.id,
        fresh: true,
    }))
}

/// What changed since the person was asked.
fn refusal(db: &Connection, approval: &Approval) -> Result<Option<ApprovalOutcome>> {
    let grant = &approval.grant;
    if !sessions::is_live(db, &approval.session, grant.user, approval.now)? {
        return Ok(Some(ApprovalOutcome::SignInAgain));
    }
    let client_gone = match &approval.client {
        None => {
            clients::standing(db, &grant.client_id)?.is_none_or(|client| !client.is(&approval.fingerprint))
        }
        // Where the document says nothing new, the client is the one that is stored: an operator may have registered it.
        Some(snapshot) => clients::find(db, &grant.client_id)?.is_some_and(|client| {
            client.disabled || !is_news(Some(&client), snapshot) && client.fingerprint != approval.fingerprint
        }),
    };
    if client_gone {
        return Ok(Some(ApprovalOutcome::ClientGone));
    }
    for resource in std::iter::once(&grant.resource).chain(&grant.more_resources) {
        if !resources::exists(db, resource)? {
            return Ok(Some(ApprovalOutcome::ResourceGone));
        }
    }
    if !approval.asked {
        let remembered = consents::find(db, grant.user, &grant.client_id, &grant.resource)?;
        if !is_ground_for(remembered.as_ref(), approval) {
            return Ok(Some(ApprovalOutcome::ConsentGone));
        }
    }
    Ok(None)
}

fn find_earlier(db: &Connection, approval: &Approval) -> Result<Option<Earlier>> {
    Ok(db.find(BY_REQUEST, [approval.request_id], |row| {
        let mut columns = Columns::new(row);
        let digest = columns.plain()?;
        let grant = columns.grant()?;
        let expired = columns.time()? <= approval.now;
        let redeemed = columns.maybe_time()?.is_some();
        let user = columns.user()?;
        let ended = columns.word::<GrantState>()? == GrantState::Ended;
        Ok(Earlier {
            digest,
            grant,
            user,
            used_up: expired || redeemed || ended,
        })
    })?)
}

fn insert_code(db: &Connection, approval: &Approval) -> Result<()> {
    let code = &approval.code;
    db.run(
        INSERT_CODE,
        params![
            code.digest,
            approval.request_id,
            code.grant.0.as_bytes(),
            approval.session,
            code.client_id,
            code.redirect_uri,
            code.code_challenge,
            code.stay_connected,
            code.expires_at.0,
            code.dpop_jkt,
        ],
    )?;
    Ok(())
}
