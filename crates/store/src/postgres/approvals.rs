//! A person's approval: a pending grant and its code.

use std::iter;

use futures_util::future::join_all;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, statements};
use super::values::Columns;
use super::work::lock;
use super::writes::{Write, Writes, values};
use super::{clients, consents, devices, grants, resources, sessions, users};
use crate::rules::approvals::{Earlier, refuse_incoherent, repeat};
use crate::rules::clients::{Standing, is_news};
use crate::rules::consents::is_ground_for;
use crate::{Approval, ApprovalOutcome, Approved, Client, Consent, GrantState, StoreError};

statements! {
    BY_REQUEST = "SELECT c.digest, c.grant_id, c.expires_at, c.redeemed_at, g.user_id, g.state FROM code c \
                  JOIN access_grant g ON g.id = c.grant_id WHERE c.request_id = $1";
    INSERT_CODE = "INSERT INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, \
                   code_challenge, stay_connected, expires_at, dpop_jkt) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
}

/// What an approval rests on, as it stands until the end of the transaction.
pub(super) struct Held<'a> {
    /// What changed since the person was asked.
    refusal: Option<ApprovalOutcome>,
    consent: Option<Consent>,
    earlier: Option<Earlier>,
    /// The device, if the approval is of one, was told no.
    denied: bool,
    /// The snapshot of the client, where it is another one than the stored one.
    news: Option<&'a Client>,
}

/// One round trip; with the snapshot of a client one more, since it says how the client is locked.
pub(super) async fn hold<'a>(db: &Connection, approval: &'a Approval) -> Fallible<Held<'a>> {
    refuse_incoherent(approval)?;
    let requests = [approval.request_id];
    let holding = Box::pin(async {
        let news = match &approval.client {
            Some(snapshot) => {
                let stored = clients::find(db, &snapshot.client_id).await?;
                Some(snapshot).filter(|snapshot| is_news(stored.as_ref(), snapshot))
            }
            None => None,
        };
        hold_all(db, approval, news).await
    });
    // The same request twice at the same moment: the second one waits and finds what the first one left.
    let (locked, held) = tokio::join!(biased; lock(db, &requests), holding);
    locked?;
    held
}

async fn hold_all<'a>(
    db: &Connection,
    approval: &'a Approval,
    news: Option<&'a Client>,
) -> Fallible<Held<'a>> {
    let grant = &approval.grant;
    let resources = Box::pin(async {
        let uris = iter::once(&grant.resource).chain(&grant.more_resources);
        let held = join_all(uris.map(|uri| resources::hold(db, uri))).await;
        held.into_iter()
            .try_fold(true, |all, held| Ok::<_, Fault>(all & held?))
    });
    let earlier = Box::pin(find_earlier(db, approval));
    let denied = Box::pin(async {
        let of_device = approval.code.is_of_device();
        Ok::<_, Fault>(of_device && devices::hold_denied(db, &approval.code.digest).await?)
    });
    let consent = Box::pin(async {
        if approval.consent.is_some() {
            consents::hold_to_write(db, grant).await
        } else if approval.asked {
            Ok(None)
        } else {
            consents::hold(db, grant).await
        }
    });
    // The driver sends in the order of the first poll, so all nodes lock in one order.
    let (person, session, resource, client, earlier, denied, consent) = tokio::join!(
        biased;
        users::hold(db, grant.user),
        sessions::hold(db, &approval.session, grant.user, approval.now),
        resources,
        clients::hold(db, &grant.client_id, news.is_some()),
        earlier,
        denied,
        consent,
    );
    let (person, session, resource, client) = (person?, session?, resource?, client?);
    let (earlier, denied, consent) = (earlier?, denied?, consent?);
    let client_gone = is_client_gone(approval, client.as_ref(), news.is_some())?;
    let refusal = if !person || !session {
        Some(ApprovalOutcome::SignInAgain)
    } else if client_gone {
        Some(ApprovalOutcome::ClientGone)
    } else if !resource {
        Some(ApprovalOutcome::ResourceGone)
    } else if !approval.asked && !is_ground_for(consent.as_ref(), approval) {
        Some(ApprovalOutcome::ConsentGone)
    } else {
        None
    };
    Ok(Held {
        refusal,
        consent,
        earlier,
        denied,
        news,
    })
}

fn is_client_gone(approval: &Approval, client: Option<&Standing>, is_news: bool) -> Fallible<bool> {
    if client.is_none() && approval.client.is_some() && !is_news {
        return Err(Fault::Contended(
            "a client was removed at its approval".to_owned(),
        ));
    }
    Ok(client.map_or(approval.client.is_none(), |client| {
        if is_news {
            client.disabled
        } else {
            !client.is(&approval.fingerprint)
        }
    }))
}

/// Every check first, then every change.
pub(super) async fn approve(
    db: &Connection,
    approval: &Approval,
    held: Held<'_>,
) -> Fallible<(ApprovalOutcome, Writes)> {
    if let Some(refusal) = held.refusal {
        return Ok((refusal, Writes::default()));
    }
    if let Some(earlier) = &held.earlier {
        return Ok((repeat(approval, earlier)?, Writes::default()));
    }
    if held.denied {
        return Err(StoreError::Conflict.into());
    }
    if let Some(snapshot) = held.news {
        clients::keep_snapshot(db, snapshot).await?;
    }
    let mut writes = grants::insertion(&approval.grant)?;
    writes.extend([code(approval)]);
    if let Some(consent) = &approval.consent {
        let before = held.consent;
        writes.extend([consents::merging(
            &approval.grant,
            before,
            consent,
            &approval.declined,
        )?]);
    }
    let outcome = ApprovalOutcome::Approved(Approved {
        grant: approval.grant.id,
        fresh: true,
    });
    Ok((outcome, writes))
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

fn code(approval: &Approval) -> Write {
    let code = &approval.code;
    let values = values![
        code.digest.to_vec(),
        approval.request_id.to_vec(),
        code.grant.0,
        approval.session.to_vec(),
        code.client_id.clone(),
        code.redirect_uri.clone(),
        code.code_challenge.clone(),
        code.stay_connected,
        code.expires_at.0,
        code.dpop_jkt.clone(),
    ];
    Write::new(INSERT_CODE, values)
}
