//! A person's approval: a pending grant and its code.

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, run, statements};
use super::values::Columns;
use super::work::lock;
use super::{clients, consents, devices, grants, resources, sessions, users};
use crate::rules::approvals::{Earlier, refuse_incoherent, repeat};
use crate::rules::clients::is_news;
use crate::rules::consents::is_ground_for;
use crate::{Approval, ApprovalOutcome, Approved, GrantState, StoreError};

statements! {
    BY_REQUEST = "SELECT c.digest, c.grant_id, c.expires_at, c.redeemed_at, g.user_id, g.state FROM code c \
                  JOIN access_grant g ON g.id = c.grant_id WHERE c.request_id = $1";
    INSERT_CODE = "INSERT INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, \
                   code_challenge, stay_connected, expires_at, dpop_jkt) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
}

/// Every check first, then every change.
pub(super) async fn approve(db: &Connection, approval: &Approval) -> Fallible<ApprovalOutcome> {
    refuse_incoherent(approval)?;
    // The same request twice at the same moment: the second one waits and finds what the first one left.
    lock(db, &[approval.request_id]).await?;
    let stored = match &approval.client {
        Some(snapshot) => clients::find(db, &snapshot.client_id).await?,
        None => None,
    };
    let news = approval
        .client
        .as_ref()
        .filter(|snapshot| is_news(stored.as_ref(), snapshot));
    if let Some(refusal) = refusal(db, approval, news.is_some()).await? {
        return Ok(refusal);
    }
    if let Some(earlier) = find_earlier(db, approval).await? {
        return Ok(repeat(approval, &earlier)?);
    }
    if approval.code.is_of_device() && devices::hold_denied(db, &approval.code.digest).await? {
        return Err(StoreError::Conflict.into());
    }
    if let Some(snapshot) = news {
        clients::keep_snapshot(db, snapshot).await?;
    }
    grants::insert(db, &approval.grant).await?;
    insert_code(db, approval).await?;
    if let Some(consent) = &approval.consent {
        consents::merge(db, &approval.grant, consent, &approval.declined).await?;
    }
    Ok(ApprovalOutcome::Approved(Approved {
        grant: approval.grant.id,
        fresh: true,
    }))
}

/// What changed since the person was asked. What did not change stays so until the end of the transaction.
async fn refusal(db: &Connection, approval: &Approval, news: bool) -> Fallible<Option<ApprovalOutcome>> {
    let grant = &approval.grant;
    // On the heap: with it the five together would be larger than a future may be.
    let remembered = Box::pin(async {
        if approval.asked {
            return Ok(true);
        }
        let remembered = consents::hold(db, grant).await?;
        Ok::<_, Fault>(is_ground_for(remembered.as_ref(), approval))
    });
    let mut further = true;
    for more in &grant.more_resources {
        further &= resources::hold(db, more).await?;
    }
    // One round trip; the driver sends in the order of the first poll, so all nodes lock in one order.
    let (person, session, resource, client, consent) = tokio::join!(
        biased;
        users::hold(db, grant.user),
        sessions::hold(db, &approval.session, grant.user, approval.now),
        resources::hold(db, &grant.resource),
        clients::hold(db, &grant.client_id, news),
        remembered,
    );
    let (person, session, resource, client, consent) =
        (person?, session?, resource? && further, client?, consent?);
    if client.is_none() && approval.client.is_some() && !news {
        return Err(Fault::Contended(
            "a client was removed at its approval".to_owned(),
        ));
    }
    let client_gone = client.map_or(approval.client.is_none(), |client| {
        if news {
            client.disabled
        } else {
            !client.is(&approval.fingerprint)
        }
    });
    Ok(if !person || !session {
        Some(ApprovalOutcome::SignInAgain)
    } else if client_gone {
        Some(ApprovalOutcome::ClientGone)
    } else if !resource {
        Some(ApprovalOutcome::ResourceGone)
    } else if !consent {
        Some(ApprovalOutcome::ConsentGone)
    } else {
        None
    })
}

async fn find_earlier(db: &Connection, approval: &Approval) -> Fallible<Option<Earlier>> {
    row(
        db,
        BY_REQUEST,
        &[&approval.request_id.as_slice()],
        |columns: &mut Columns<'_>| {
            let digest = columns.bytes()?;
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
        },
    )
    .await
}

async fn insert_code(db: &Connection, approval: &Approval) -> Fallible<()> {
    let code = &approval.code;
    run(
        db,
        INSERT_CODE,
        &[
            &code.digest.as_slice(),
            &approval.request_id.as_slice(),
            &code.grant.0,
            &approval.session.as_slice(),
            &code.client_id,
            &code.redirect_uri,
            &code.code_challenge,
            &code.stay_connected,
            &code.expires_at.0,
            &code.dpop_jkt,
        ],
    )
    .await
    .map(drop)
}
