//! Refresh tokens: the rows behind `rules::refresh`.

use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, run, statements};
use super::values::Columns;
use super::{PostgresStore, grants, issuances};
use crate::rules::audit;
use crate::rules::refresh::{self, Earlier, REMEMBERED, Rotation, refuse_incoherent, rotated};
use crate::{EndReason, Grant, GrantState, Result, RotateOutcome, RotateRefresh};

statements! {
    /// All of a rotation of the present generation, when nothing speaks against it; no row otherwise.
    /// $2 generation, $3 now, $4 idle time, $5 retry window, $6 how many earlier generations to remember.
    ROTATE_AT_ONCE = concat!(
        "WITH rotated AS (UPDATE access_grant AS g SET generation = g.generation + 1, \
         generation_at = greatest(g.generation_at, $3), last_used_at = greatest(g.last_used_at, $3), \
         earlier = ARRAY(SELECT e.reached_at \
         FROM unnest(g.generation_at || g.earlier) WITH ORDINALITY AS e (reached_at, place) \
         WHERE e.place <= $6 AND greatest(g.generation_at, $3) - e.reached_at <= $5 ORDER BY e.place) \
         WHERE g.id = $1 AND g.generation = $2 AND g.state = 'active' AND $2 BETWEEN 1 AND 4294967294 \
         AND $3 - g.generation_at <= $4 AND g.refresh_expires_at > $3 AND ", grants::stands!(),
        " RETURNING ", grants::grant_columns!(), "), \
         recorded AS (INSERT INTO issuance (", issuances::columns!(), ") \
         SELECT $7, $1, $8, $9, $10, $11, $12, $13, $14, NULL FROM rotated) \
         SELECT ", grants::grant_columns!(), " FROM rotated g"
    );
    BY_ID_TO_WRITE = concat!(
        "SELECT ", grants::grant_columns!(), ", g.earlier, ", grants::stands!(),
        " FROM access_grant g WHERE g.id = $1 FOR UPDATE"
    );
    ROTATE = "UPDATE access_grant SET generation = $2, generation_at = $3, earlier = $4, last_used_at = $5 \
              WHERE id = $1";
    TOUCH = "UPDATE access_grant SET last_used_at = $2 WHERE id = $1";
}

/// One statement for the present generation; step by step, with the grant locked, otherwise.
pub(super) async fn rotate(store: &PostgresStore, rotate: &RotateRefresh) -> Result<RotateOutcome> {
    refuse_incoherent(rotate)?;
    let at_once = store
        .attempt(|db| async move { rotate_at_once(&db, rotate).await })
        .await;
    let lost = match at_once {
        Ok(Some(grant)) => return Ok(rotated(grant, rotate, false)),
        Ok(None) => false,
        Err(Fault::Refused(error)) => return Err(error),
        Err(Fault::Contended(_) | Fault::Lost(_)) => true,
    };
    store
        .act(|db| async move {
            let outcome = rotate_by_steps(&db, rotate, lost).await?;
            let draft = audit::rotated(rotate, &outcome);
            Ok((outcome, draft))
        })
        .await
}

async fn rotate_at_once(db: &Connection, rotate: &RotateRefresh) -> Fallible<Option<Grant>> {
    let issuance = &rotate.issuance;
    let generation = i64::from(rotate.generation);
    let (idle, window) = (
        seconds(rotate.policy.idle_ttl),
        seconds(rotate.policy.retry_window),
    );
    let remembered = i64::try_from(REMEMBERED).unwrap_or(i64::MAX);
    let scopes = issuance.scopes.to_string();
    let revoked_at = issuance.revoked_at.map(|time| time.0);
    let params: [&(dyn ToSql + Sync); 14] = [
        &rotate.grant.0,
        &generation,
        &rotate.now.0,
        &idle,
        &window,
        &remembered,
        &issuance.jti,
        &issuance.client_id,
        &issuance.subject,
        &issuance.resource,
        &scopes,
        &issuance.issued_at.0,
        &issuance.expires_at.0,
        &revoked_at,
    ];
    row(db, ROTATE_AT_ONCE, &params, grants::read).await
}

/// Times are whole seconds, so a fraction never matters to what passed.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// `lost`: the answer to an earlier attempt of this very call may have been lost.
async fn rotate_by_steps(db: &Connection, rotate: &RotateRefresh, lost: bool) -> Fallible<RotateOutcome> {
    let Some((grant, earlier, stands)) = load(db, rotate).await? else {
        return Ok(RotateOutcome::Unknown);
    };
    if lost && grant.state == GrantState::Active && issuances::is_recorded(db, &rotate.issuance).await? {
        return Ok(rotated(grant, rotate, false));
    }
    let id = grant.id;
    let (grant, retry) = match refresh::rotate(grant, earlier, stands, rotate)? {
        Rotation::Refused(outcome) => return Ok(outcome),
        Rotation::Reused => {
            grants::end(db, id, EndReason::RefreshTokenReused, rotate.now).await?;
            return Ok(RotateOutcome::Reused);
        }
        Rotation::Retry(grant) => {
            run(db, TOUCH, &[&id.0, &grant.last_used_at.0]).await?;
            (grant, true)
        }
        Rotation::MoveOn(grant, earlier) => {
            move_on(db, &grant, &earlier).await?;
            (grant, false)
        }
    };
    issuances::insert(db, &rotate.issuance).await?;
    Ok(rotated(grant, rotate, retry))
}

async fn move_on(db: &Connection, grant: &Grant, Earlier(earlier): &Earlier) -> Fallible<()> {
    let earlier: Vec<i64> = earlier.iter().map(|time| time.0).collect();
    let generation = i64::from(grant.generation);
    let params: [&(dyn ToSql + Sync); 5] = [
        &grant.id.0,
        &generation,
        &grant.generation_at.0,
        &earlier,
        &grant.last_used_at.0,
    ];
    run(db, ROTATE, &params).await.map(drop)
}

async fn load(db: &Connection, rotate: &RotateRefresh) -> Fallible<Option<(Grant, Earlier, bool)>> {
    row(
        db,
        BY_ID_TO_WRITE,
        &[&rotate.grant.0],
        |columns: &mut Columns<'_>| {
            let grant = grants::read(columns)?;
            Ok((grant, Earlier(columns.times()?), columns.plain()?))
        },
    )
    .await
}
