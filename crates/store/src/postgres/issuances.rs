//! Records of issued access tokens.

use std::sync::Arc;

use doorward_oauth::time::UnixSeconds;

use super::Engine;
use super::errors::Fallible;
use super::statements::{Connection, find as row, get, run, statements};
use super::together::{Meeting, Together, find_each};
use super::values::{Columns, can_be_stored, only};
use super::work::Db;
use super::writes::{Write, values};
use crate::{Issuance, Result, TokenStanding};

macro_rules! columns {
    () => {
        "jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at, revoked_at, parent"
    };
    // Of the table with this name.
    ("i") => {
        "i.jti, i.grant_id, i.client_id, i.subject, i.resource, i.scopes, i.issued_at, i.expires_at, i.revoked_at, i.parent"
    };
}
pub(super) use columns;

/// What a [`TokenStanding`] is read from.
macro_rules! standing {
    () => {
        "i.revoked_at, i.grant_id, g.client_id, g.state FROM issuance i JOIN access_grant g ON g.id = i.grant_id"
    };
}

statements! {
    INSERT = concat!("INSERT INTO issuance (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    BY_JTI = concat!("SELECT ", columns!(), " FROM issuance WHERE jti = $1");
    STANDING = concat!("SELECT ", standing!(), " WHERE i.jti = $1");
    /// `OFFSET 0`: see `together`.
    STANDINGS = concat!(
        "SELECT s.*, a.place FROM unnest($1::text[]) WITH ORDINALITY AS a (jti, place) \
         CROSS JOIN LATERAL (SELECT ", standing!(), " WHERE i.jti = a.jti OFFSET 0) s"
    );
    IS_RECORDED = "SELECT EXISTS (SELECT 1 FROM issuance WHERE jti = $1 AND grant_id = $2)";
    /// Nobody exchanges a token of the grant meanwhile.
    LOCK_GRANT = "SELECT 1 FROM access_grant g WHERE g.id = (SELECT grant_id FROM issuance WHERE jti = $1) FOR UPDATE";
    REVOKE = "WITH RECURSIVE tree (jti) AS (SELECT $1::text COLLATE \"C\" UNION SELECT i.jti FROM tree t JOIN issuance i ON i.parent = t.jti) \
              UPDATE issuance SET revoked_at = coalesce(revoked_at, $2) WHERE jti = ANY (ARRAY(SELECT jti FROM tree))";
}

pub(super) async fn insert(db: &Connection, issuance: &Issuance) -> Fallible<()> {
    insertion(issuance).run(db).await.map(drop)
}

pub(super) fn insertion(issuance: &Issuance) -> Write {
    let values = values![
        issuance.jti.clone(),
        issuance.grant.0,
        issuance.client_id.clone(),
        issuance.subject.clone(),
        issuance.resource.clone(),
        issuance.scopes.to_string(),
        issuance.issued_at.0,
        issuance.expires_at.0,
        issuance.revoked_at.map(|time| time.0),
        issuance.parent.clone(),
    ];
    Write::new(INSERT, values)
}

pub(super) async fn find(db: &Connection, jti: &str) -> Fallible<Option<Issuance>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    row(db, BY_JTI, &[&jti], read).await
}

/// With others that ask about a token.
pub(super) async fn standing(engine: &Arc<Engine>, jti: &str) -> Result<Option<TokenStanding>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    let alone = |db: Db| async move { row(&db, STANDING, &[&jti], read_standing).await };
    engine.read_together(ReadStanding(jti.to_owned()), alone).await
}

/// Reads what the token with this `jti` rests on.
pub(super) struct ReadStanding(String);

impl Together for ReadStanding {
    type Answer = Option<TokenStanding>;

    fn meeting(engine: &Engine) -> &Meeting<Self> {
        &engine.standings_to_read
    }

    async fn all(db: &Connection, asked: &[Self]) -> Fallible<Vec<Option<TokenStanding>>> {
        let ids: Vec<&str> = asked.iter().map(|ReadStanding(jti)| jti.as_str()).collect();
        find_each(db, STANDINGS, &[&ids], asked.len(), read_standing).await
    }
}

fn read_standing(columns: &mut Columns<'_>) -> Fallible<TokenStanding> {
    Ok(TokenStanding {
        revoked_at: columns.maybe_time()?,
        grant: columns.grant()?,
        granted_to: columns.plain()?,
        state: columns.word()?,
    })
}

/// Reads [`columns`].
pub(super) fn read(columns: &mut Columns<'_>) -> Fallible<Issuance> {
    Ok(Issuance {
        jti: columns.plain()?,
        grant: columns.grant()?,
        client_id: columns.plain()?,
        subject: columns.plain()?,
        resource: columns.plain()?,
        scopes: columns.scopes()?,
        issued_at: columns.time()?,
        expires_at: columns.time()?,
        revoked_at: columns.maybe_time()?,
        parent: columns.plain()?,
    })
}

/// Whether this very token was recorded: an attempt whose answer was lost did happen.
pub(super) async fn is_recorded(db: &Connection, issuance: &Issuance) -> Fallible<bool> {
    get(db, IS_RECORDED, &[&issuance.jti, &issuance.grant.0], only).await
}

/// The token as it was, if there is such a one; the first revocation's time stays. What was exchanged from it goes with it.
pub(super) async fn revoke(db: &Connection, jti: &str, now: UnixSeconds) -> Fallible<Option<Issuance>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    row(db, LOCK_GRANT, &[&jti], |_| Ok(())).await?;
    // Two at once: the second one finds it revoked.
    let before = find(db, jti).await?;
    run(db, REVOKE, &[&jti, &now.0]).await?;
    Ok(before)
}
