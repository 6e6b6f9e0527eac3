//! Refresh tokens: the rows behind `rules::refresh`.

use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::rules::refresh::{self, Earlier, Rotation, refuse_another, refuse_incoherent, rotated};
use crate::{EndReason, Grant, GrantId, Result, RotateOutcome, RotateRefresh, StoreError, UseRefresh};

statements! {
    BY_ID = concat!(
        "SELECT ", grants::grant_columns!(), ", g.earlier, ", grants::stands!(), " FROM access_grant g ",
        grants::joined_with_its_parties!(), " WHERE g.id = ?1"
    );
    ROTATE = "UPDATE access_grant SET generation = ?3, generation_at = ?4, earlier = ?5, last_used_at = ?6 \
              WHERE id = ?1 AND state = 'active' AND generation = ?2";
    TOUCH = "UPDATE access_grant SET last_used_at = ?2 WHERE id = ?1 AND state = 'active'";
}

pub(super) fn rotate(db: &Connection, rotate: &RotateRefresh) -> Result<RotateOutcome> {
    refuse_incoherent(rotate)?;
    match load(db, rotate.grant)? {
        Some(loaded) => rotate_loaded(db, loaded, rotate),
        None => Ok(RotateOutcome::Unknown),
    }
}

/// The same with a rotation that is made for the grant as it is; the grant is read once.
pub(super) fn rotate_as(
    db: &Connection,
    grant: GrantId,
    decide: UseRefresh,
) -> Result<Option<(RotateRefresh, RotateOutcome)>> {
    let Some(loaded) = load(db, grant)? else {
        return Ok(None);
    };
    let Some(rotate) = decide(&loaded.0) else {
        return Ok(None);
    };
    refuse_another(&loaded.0, &rotate)?;
    refuse_incoherent(&rotate)?;
    let outcome = rotate_loaded(db, loaded, &rotate)?;
    Ok(Some((rotate, outcome)))
}

fn rotate_loaded(
    db: &Connection,
    (grant, earlier, stands): Loaded,
    rotate: &RotateRefresh,
) -> Result<RotateOutcome> {
    let id = grant.id;
    let (grant, retry) = match refresh::rotate(grant, earlier, stands, rotate)? {
        Rotation::Refused(outcome) => return Ok(outcome),
        Rotation::Reused => {
            grants::end(db, id, EndReason::RefreshTokenReused, rotate.now)?;
            return Ok(RotateOutcome::Reused);
        }
        Rotation::Retry(grant) => {
            db.run(TOUCH, params![id.0.as_bytes(), grant.last_used_at.0])?;
            (grant, true)
        }
        Rotation::MoveOn(grant, earlier) => {
            move_on(db, &grant, &earlier, rotate)?;
            (grant, false)
        }
    };
    issuances::insert(db, &rotate.issuance)?;
    Ok(rotated(grant, rotate, retry))
}

fn move_on(db: &Connection, grant: &Grant, earlier: &Earlier, rotate: &RotateRefresh) -> Result<()> {
    let changed = db.run(
        ROTATE,
        params![
            grant.id.0.as_bytes(),
            rotate.generation,
            grant.generation,
            grant.generation_at.0,
            earlier.to_bytes(),
            grant.last_used_at.0
        ],
    )?;
    match changed {
        1 => Ok(()),
        _ => Err(StoreError::Internal(
            "a grant changed in the middle of a rotation".to_owned(),
        )),
    }
}

/// The grant, what is remembered of its generations, and whether everything stands that it rests on.
type Loaded = (Grant, Earlier, bool);

fn load(db: &Connection, grant: GrantId) -> Result<Option<Loaded>> {
    Ok(db.find(BY_ID, [grant.0.as_bytes()], |row| {
        let mut columns = Columns::new(row);
        let grant = grants::read(&mut columns)?;
        let earlier = Earlier::from_bytes(&columns.plain::<Vec<u8>>()?);
        Ok((grant, earlier, columns.plain()?))
    })?)
}
