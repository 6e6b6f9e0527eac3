//! Refresh tokens: the rows behind `rules::refresh`.

use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, find as row, run, statements};
use super::together::{Meeting, Together, column, find_each};
use super::values::Columns;
use super::{Engine, PostgresStore, grants, issuances};
use crate::rules::audit;
use crate::rules::refresh::{
    self, Earlier, REMEMBERED, Rotation, refuse_another, refuse_incoherent, rotated,
};
use crate::{
    Change, EndReason, Grant, GrantId, GrantState, Result, RotateOutcome, RotateRefresh, UseRefresh,
};

statements! {
    /// All of a rotation of the present generation, when nothing speaks against it, for each of several; no row for the
    /// others. A grant that somebody else writes is not waited for, since all wait with whoever waits.
    /// A grant is found again by its place (`ctid`): one that was changed after the statement began has another, is not found,
    /// and goes step by step. Of two that ask for one grant, one gets it.
    /// That a place is in its range is always so, and has the planner take what is asked for one row: in a database that is
    /// new it would have a whole index of grants read otherwise, and keep to that.
    /// What is asked is read from the arrays where it is needed, and of a grant comes back what became of it: each further
    /// column costs each step of the plan.
    /// $1 grants, $2 generations, $3 now, $4 idle times, $5 retry windows, $6 how many earlier generations to remember, from
    /// $7 the record of each token.
    ROTATE_AT_ONCE = concat!(
        "WITH asked AS (SELECT a.place::int AS place, l.at FROM unnest($1::uuid[]) WITH ORDINALITY AS a (grant_id, place) \
         CROSS JOIN LATERAL \
         (SELECT o.ctid AS at FROM access_grant o WHERE o.id = a.grant_id FOR NO KEY UPDATE SKIP LOCKED) l), \
         rotated AS (UPDATE access_grant AS g SET generation = g.generation + 1, \
         generation_at = greatest(g.generation_at, ($3::bigint[])[a.place]), \
         last_used_at = greatest(g.last_used_at, ($3::bigint[])[a.place]), \
         earlier = CASE WHEN ($3::bigint[])[a.place] - g.generation_at <= ($5::bigint[])[a.place] \
         THEN (g.generation_at || g.earlier)[1:$6::int] ELSE '{}' END \
         FROM asked a WHERE g.ctid = a.at AND a.place BETWEEN 1 AND 2147483647 AND g.generation = ($2::bigint[])[a.place] AND g.state = 'active' \
         AND g.generation BETWEEN 1 AND 4294967294 AND ($3::bigint[])[a.place] - g.generation_at <= ($4::bigint[])[a.place] \
         AND g.refresh_expires_at > ($3::bigint[])[a.place] AND ", grants::stands!(),
        " RETURNING g.id, g.generation_at, g.last_used_at, a.place), \
         recorded AS (INSERT INTO issuance (", issuances::columns!(), ") \
         SELECT ($7::text[])[place], id, ($8::text[])[place], ($9::text[])[place], ($10::text[])[place], \
         ($11::text[])[place], ($12::bigint[])[place], ($13::bigint[])[place], ($14::bigint[])[place], NULL FROM rotated) \
         SELECT generation_at, last_used_at, place::bigint FROM rotated"
    );
    BY_ID_TO_WRITE = concat!(
        "SELECT ", grants::grant_columns!(), ", g.earlier, ", grants::stands!(),
        " FROM access_grant g WHERE g.id = $1 FOR UPDATE"
    );
    ROTATE = "UPDATE access_grant SET generation = $2, generation_at = $3, earlier = $4, last_used_at = $5 \
              WHERE id = $1";
    TOUCH = "UPDATE access_grant SET last_used_at = $2 WHERE id = $1";
}

/// Uses a refresh token as `decide` says that looked at its grant: as this node used it last, or as it is.
pub(super) async fn use_token(
    store: &PostgresStore,
    id: GrantId,
    decide: UseRefresh,
) -> Result<Option<RotateOutcome>> {
    let Some(grant) = known(store, id).await? else {
        return Ok(None);
    };
    let Some(rotate) = decide(&grant) else {
        return Ok(None);
    };
    refuse_another(&grant, &rotate)?;
    refuse_incoherent(&rotate)?;
    rotate_known(store, rotate, grant).await.map(Some)
}

/// The grant as this node used it last, or as it is.
async fn known(store: &PostgresStore, id: GrantId) -> Result<Option<Arc<Grant>>> {
    match store.used_grants.get(id) {
        Some(grant) => Ok(Some(grant)),
        None => Ok(grants::read_with_others(&store.engine, id).await?.map(Arc::new)),
    }
}

pub(super) async fn rotate(store: &PostgresStore, rotate: RotateRefresh) -> Result<RotateOutcome> {
    refuse_incoherent(&rotate)?;
    match known(store, rotate.grant).await? {
        Some(grant) => rotate_known(store, rotate, grant).await,
        None => Ok(RotateOutcome::Unknown),
    }
}

async fn rotate_known(
    store: &PostgresStore,
    rotate: RotateRefresh,
    known: Arc<Grant>,
) -> Result<RotateOutcome> {
    let id = rotate.grant;
    let outcome = rotate_with_others(store, rotate, known).await;
    match &outcome {
        Ok(RotateOutcome::Rotated { grant, .. }) => store.used_grants.note(grant),
        Ok(_) => store.used_grants.forget(id),
        Err(_) => {}
    }
    if outcome == Ok(RotateOutcome::Reused) {
        store.changes.tell(Change::Revocations);
    }
    outcome
}

/// One statement for the present generation, and for those that it meets; step by step, with the grant locked, otherwise.
async fn rotate_with_others(
    store: &PostgresStore,
    rotate: RotateRefresh,
    known: Arc<Grant>,
) -> Result<RotateOutcome> {
    let rotate = Arc::new(rotate);
    let lost = match store.engine.together(Arc::clone(&rotate)).await {
        Ok(Some(moved)) => return Ok(rotated(moved.of(&known, &rotate), &rotate, false)),
        Ok(None) => false,
        Err(fault) => fault.may_have_happened()?,
    };
    let rotate = &*rotate;
    store
        .act(|db| async move {
            let outcome = rotate_by_steps(&db, rotate, lost).await?;
            let draft = audit::rotated(rotate, &outcome);
            Ok((outcome, draft))
        })
        .await
}

/// What became of an active grant whose present generation was used.
pub(super) struct Moved {
    generation_at: UnixSeconds,
    last_used_at: UnixSeconds,
}

impl Moved {
    fn read(columns: &mut Columns<'_>) -> Fallible<Self> {
        Ok(Self {
            generation_at: columns.time()?,
            last_used_at: columns.time()?,
        })
    }

    /// Nothing else of it changes while it is active, which it was before anybody had a refresh token to show.
    fn of(self, known: &Grant, rotate: &RotateRefresh) -> Grant {
        Grant {
            generation: rotate.generation + 1,
            generation_at: self.generation_at,
            last_used_at: self.last_used_at,
            ..known.clone()
        }
    }
}

impl Together for Arc<RotateRefresh> {
    type Answer = Option<Moved>;

    fn meeting(engine: &Engine) -> &Meeting<Self> {
        &engine.rotations
    }

    async fn all(db: &Connection, asked: &[Self]) -> Fallible<Vec<Self::Answer>> {
        let remembered = i32::try_from(REMEMBERED).unwrap_or(i32::MAX);
        let params: [&(dyn ToSql + Sync); 14] = [
            &column(asked, |rotate| rotate.grant.0),
            &column(asked, |rotate| i64::from(rotate.generation)),
            &column(asked, |rotate| rotate.now.0),
            &column(asked, |rotate| seconds(rotate.policy.idle_ttl)),
            &column(asked, |rotate| seconds(rotate.policy.retry_window)),
            &remembered,
            &column(asked, |rotate| rotate.issuance.jti.as_str()),
            &column(asked, |rotate| rotate.issuance.client_id.as_str()),
            &column(asked, |rotate| rotate.issuance.subject.as_str()),
            &column(asked, |rotate| rotate.issuance.resource.as_str()),
            &column(asked, |rotate| rotate.issuance.scopes.to_string()),
            &column(asked, |rotate| rotate.issuance.issued_at.0),
            &column(asked, |rotate| rotate.issuance.expires_at.0),
            &column(asked, |rotate| rotate.issuance.revoked_at.map(|time| time.0)),
        ];
        find_each(db, ROTATE_AT_ONCE, &params, asked.len(), Moved::read).await
    }
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
