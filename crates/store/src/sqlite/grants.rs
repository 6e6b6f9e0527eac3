//! Grants: reading them, and every way to end them.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, ToSql, params};
use uuid::Uuid;

use super::consents;
use super::statements::{Run, Sql, statements};
use super::values::Columns;
use crate::rules::grants::{AT_A_TIME, Whose, forgets_consent, matches};
use crate::rules::json;
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::rules::sweep::CLOCK_ERROR;
use crate::rules::words::Word;
use crate::{Digest, EndReason, Grant, GrantFilter, GrantId, Page, PageRequest, Result, UserId};

/// The columns that [`read`] reads, of a table named `g`.
macro_rules! grant_columns {
    () => {
        concat!("g.id, ", $crate::sqlite::grants::grant_columns!("behind the id"))
    };
    ("behind the id") => {
        "g.user_id, g.subject, g.client_id, g.resource, g.scopes, g.state, g.end_reason, g.ended_at, \
         g.created_at, g.authenticated_at, g.methods, g.generation, g.generation_at, g.refresh_salt, \
         g.refresh_expires_at, g.last_used_at, g.dpop_jkt, g.more_resources, g.trusted_issuer"
    };
}
pub(super) use grant_columns;

/// One more column: whether everything stands that tokens of the grant rest on, its person (if it has one), client
/// (a workload has none) and resource. A grant on the word of an issuer ends with the trust. Needs
/// [`joined_with_its_parties`].
macro_rules! stands {
    () => {
        "(g.user_id = x'00000000000000000000000000000000' OR coalesce(p.disabled, 1) = 0) \
         AND (coalesce(k.disabled, 1) = 0 OR (g.trusted_issuer IS NOT NULL \
         AND g.user_id = x'00000000000000000000000000000000')) AND r.uri IS NOT NULL"
    };
}
pub(super) use stands;

/// The tables that [`stands`] looks at; each row is missing when it was removed.
macro_rules! joined_with_its_parties {
    () => {
        "LEFT JOIN person p ON p.id = g.user_id LEFT JOIN client k ON k.client_id = g.client_id \
         LEFT JOIN resource r ON r.uri = g.resource"
    };
}
pub(super) use joined_with_its_parties;

/// Whether a grant is on the resource ?3, if there is one.
macro_rules! is_on {
    () => {
        "(?3 IS NULL OR g.resource = ?3 OR EXISTS (SELECT 1 FROM grant_further m \
         WHERE m.grant_id = g.id AND m.resource = ?3))"
    };
}

/// The grants on a resource, by index.
macro_rules! on_resource {
    ($resource:literal) => {
        concat!(
            "id IN (SELECT o.id FROM access_grant o WHERE o.resource = ",
            $resource,
            " UNION ALL SELECT m.grant_id FROM grant_further m WHERE m.resource = ",
            $resource,
            ")"
        )
    };
}

/// The filter but for resource and id. Parameters: ?1 user, ?2 client, ?4 state.
macro_rules! matches_the_rest {
    () => {
        "(?1 IS NULL OR g.user_id = ?1) AND (?2 IS NULL OR g.client_id = ?2) AND (?4 IS NULL OR g.state = ?4)"
    };
}

/// One way into the table: the first filter uses an index, the others look at the rows that it finds.
/// Parameters: ?1 user, ?2 client, ?3 resource, ?4 state, ?5 the id to begin below, ?6 limit.
macro_rules! page_by {
    ($key:expr) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM access_grant g WHERE ",
            $key,
            " AND (?1 IS NULL OR g.user_id = ?1) \
             AND (?2 IS NULL OR g.client_id = ?2) AND ",
            is_on!(),
            " \
             AND (?4 IS NULL OR g.state = ?4) AND g.id < ?5 ORDER BY g.id DESC LIMIT ?6"
        )
    };
}

/// Live grants that match. Parameters: ?1 user, ?2 client, ?3 resource, ?4 state, ?5 this one, ?6 the id to begin after, ?7 limit.
macro_rules! live_by {
    ($key:expr) => {
        concat!(
            "SELECT g.id FROM access_grant g WHERE ",
            $key,
            " AND g.state <> 'ended' \
             AND (?1 IS NULL OR g.user_id = ?1) AND (?2 IS NULL OR g.client_id = ?2) \
             AND ",
            is_on!(),
            " AND (?4 IS NULL OR g.state = ?4) AND (?5 IS NULL OR g.id = ?5) AND g.id > ?6 ORDER BY g.id LIMIT ?7"
        )
    };
}

/// Ends those of which `$which` holds. No earlier than they were used last, by whichever clock: what an issuer said before that
/// brings none of them back. And no later than a clock may be wrong ([`CLOCK_ERROR`]): one that was years ahead for a while is
/// not believed for ever.
macro_rules! end_those {
    ($which:expr, $reason:expr, $now:expr) => {
        concat!(
            "UPDATE access_grant SET state = 'ended', end_reason = ",
            $reason,
            ", ended_at = min(max(",
            $now,
            ", last_used_at), ",
            $now,
            " + 3900) WHERE ",
            $which,
            " AND state <> 'ended'"
        )
    };
}
pub(super) use end_those;

const _: () = assert!(CLOCK_ERROR.as_secs() == 3900);

macro_rules! end {
    ($which:expr) => {
        end_those!($which, "?2", "?3")
    };
}

statements! {
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at, more_resources) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, 0, ?7, x'', ?10, ?11, ?12)";
    INSERT_RESOURCE = "INSERT INTO grant_further (grant_id, resource) VALUES (?1, ?2)";
    BY_ID = concat!("SELECT ", grant_columns!(), " FROM access_grant g WHERE g.id = ?1");
    PAGE = page_by!("TRUE");
    PAGE_OF_USER = page_by!("g.user_id = ?1");
    PAGE_OF_CLIENT = page_by!("g.client_id = ?2");
    /// The two ways to be on a resource, merged as they are read.
    PAGE_ON_RESOURCE = concat!(
        "SELECT ", grant_columns!(), " FROM access_grant g WHERE g.resource = ?3 AND ", matches_the_rest!(),
        " AND g.id < ?5 UNION ALL SELECT o.grant_id, ", grant_columns!("behind the id"),
        " FROM grant_further o JOIN access_grant g ON g.id = o.grant_id WHERE o.resource = ?3 AND ", matches_the_rest!(),
        " AND o.grant_id < ?5 ORDER BY 1 DESC LIMIT ?6"
    );
    LIVE = live_by!("TRUE");
    LIVE_ONE = live_by!("g.id = ?5");
    LIVE_OF_USER = live_by!("g.user_id = ?1");
    LIVE_OF_CLIENT = live_by!("g.client_id = ?2");
    LIVE_ON_RESOURCE = live_by!("g.resource = ?3");
    LIVE_ON_FURTHER = concat!(
        "SELECT o.grant_id FROM grant_further o JOIN access_grant g ON g.id = o.grant_id WHERE o.resource = ?3 \
         AND g.state <> 'ended' AND ", matches_the_rest!(),
        " AND (?5 IS NULL OR g.id = ?5) AND o.grant_id > ?6 ORDER BY o.grant_id LIMIT ?7"
    );
    /// In the order of an index of those that are alive: what ended drops out of it.
    LIVE_OF_ISSUER = "SELECT id FROM access_grant WHERE trusted_issuer = ?1 AND state = 'active' \
                      ORDER BY client_id, subject, resource LIMIT ?2";
    END = end!("id = ?1");
    END_OF_USER = end!("user_id = ?1");
    END_PENDING_OF_USER = end!("user_id = ?1 AND state = 'pending'");
    END_PENDING_OF_CLIENT = end!("client_id = ?1 AND state = 'pending'");
    END_OF_CLIENT = end!("client_id = ?1");
    END_ON_RESOURCE = end!(on_resource!("?1"));
    END_OF_ISSUER = end!("trusted_issuer = ?1");
    END_OF_ISSUER_AND_USER = end_those!("user_id = ?2 AND trusted_issuer = ?1", "?3", "?4");
    END_PENDING_OF_SESSION = end!("id IN (SELECT grant_id FROM code WHERE session_id = ?1 AND redeemed_at IS NULL \
                                   AND redirect_uri <> '')");
}

/// Reads [`grant_columns`].
pub(super) fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: columns.grant()?,
        user: columns.user()?,
        subject: columns.plain()?,
        client_id: columns.plain()?,
        resource: columns.plain()?,
        scopes: columns.scopes()?,
        state: columns.word()?,
        end_reason: columns.maybe_word()?,
        ended_at: columns.maybe_time()?,
        created_at: columns.time()?,
        authenticated_at: columns.time()?,
        methods: columns.json()?,
        generation: columns.plain()?,
        generation_at: columns.time()?,
        refresh_salt: columns.plain()?,
        refresh_expires_at: columns.maybe_time()?,
        last_used_at: columns.time()?,
        dpop_jkt: columns.plain()?,
        more_resources: columns.json()?,
        trusted_issuer: columns.plain()?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Grant> {
    read(&mut Columns::new(row))
}

/// Adds a pending grant.
pub(super) fn insert(db: &Connection, grant: &Grant) -> Result<()> {
    db.run(
        INSERT,
        params![
            grant.id.0.as_bytes(),
            grant.user.0.as_bytes(),
            grant.subject,
            grant.client_id,
            grant.resource,
            grant.scopes.to_string(),
            grant.created_at.0,
            grant.authenticated_at.0,
            json(&grant.methods)?,
            grant.refresh_salt,
            grant.last_used_at.0,
            json(&grant.more_resources)?,
        ],
    )?;
    for resource in &grant.more_resources {
        db.run(INSERT_RESOURCE, params![grant.id.0.as_bytes(), resource])?;
    }
    Ok(())
}

pub(super) fn find(db: &Connection, id: GrantId) -> Result<Option<Grant>> {
    Ok(db.find(BY_ID, [id.0.as_bytes()], read_row)?)
}

pub(super) fn list(db: &Connection, filter: &GrantFilter, request: &PageRequest) -> Result<Page<Grant>> {
    if let Some(id) = filter.id {
        let items = find(db, id)?
            .filter(|grant| matches(filter, grant))
            .into_iter()
            .collect();
        return Ok(Page { items, next: None });
    }
    let sql = match filter {
        GrantFilter { user: Some(_), .. } => PAGE_OF_USER,
        GrantFilter {
            client_id: Some(_), ..
        } => PAGE_OF_CLIENT,
        GrantFilter {
            resource: Some(_), ..
        } => PAGE_ON_RESOURCE,
        _ => PAGE,
    };
    let below = page_start(request)?.unwrap_or(Uuid::max());
    let rows = with_filter(filter, |user, client, resource, state| {
        db.list(
            sql,
            params![
                user,
                client,
                resource,
                state,
                below.as_bytes(),
                rows_to_fetch(request)
            ],
            read_row,
        )
    })?;
    Ok(page(rows, request, |grant| grant.id.0.to_string()))
}

fn with_filter<T>(
    filter: &GrantFilter,
    run: impl FnOnce(&dyn ToSql, &dyn ToSql, &dyn ToSql, &dyn ToSql) -> T,
) -> T {
    let user = filter.user.map(|user| *user.0.as_bytes());
    run(
        &user,
        &filter.client_id,
        &filter.resource,
        &filter.state.map(Word::word),
    )
}

/// The ways to the grants: each has a key of its own, and together they find all.
pub(super) fn ways_to(whose: &Whose) -> &'static [Sql] {
    match whose {
        Whose::OfIssuer(_) => &[LIVE_OF_ISSUER],
        Whose::Matching(filter) => match filter {
            GrantFilter { id: Some(_), .. } => &[LIVE_ONE],
            GrantFilter { user: Some(_), .. } => &[LIVE_OF_USER],
            GrantFilter {
                client_id: Some(_), ..
            } => &[LIVE_OF_CLIENT],
            GrantFilter {
                resource: Some(_), ..
            } => &[LIVE_ON_RESOURCE, LIVE_ON_FURTHER],
            _ => &[LIVE],
        },
    }
}

/// Some of those that are alive: in the order of the ids behind this one, or of an issuer the first ones.
pub(super) fn live(db: &Connection, way: Sql, whose: &Whose, after: GrantId) -> Result<Vec<GrantId>> {
    let read = |row: &Row<'_>| Columns::new(row).grant();
    let filter = match whose {
        Whose::OfIssuer(slug) => return Ok(db.list(way, params![slug, AT_A_TIME], read)?),
        Whose::Matching(filter) => filter,
    };
    let id = filter.id.map(|id| *id.0.as_bytes());
    let live = with_filter(filter, |user, client, resource, state| {
        let params = params![user, client, resource, state, id, after.0.as_bytes(), AT_A_TIME];
        db.list(way, params, read)
    })?;
    Ok(live)
}

/// Ends these, and forgets the consents that go with them.
pub(super) fn end_these(
    db: &Connection,
    grants: &[GrantId],
    reason: EndReason,
    now: UnixSeconds,
) -> Result<()> {
    for grant in grants {
        end(db, *grant, reason, now)?;
        if forgets_consent(reason) {
            consents::forget_grant(db, *grant)?;
        }
    }
    Ok(())
}

pub(super) fn end(db: &Connection, id: GrantId, reason: EndReason, now: UnixSeconds) -> Result<u64> {
    end_by(db, END, &id.0.as_bytes(), reason, now)
}

pub(super) fn end_of_user(db: &Connection, user: UserId, reason: EndReason, now: UnixSeconds) -> Result<u64> {
    end_by(db, END_OF_USER, &user.0.as_bytes(), reason, now)
}

pub(super) fn end_pending_of_user(
    db: &Connection,
    user: UserId,
    reason: EndReason,
    now: UnixSeconds,
) -> Result<u64> {
    end_by(db, END_PENDING_OF_USER, &user.0.as_bytes(), reason, now)
}

pub(super) fn end_pending_of_client(
    db: &Connection,
    client_id: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Result<u64> {
    end_by(db, END_PENDING_OF_CLIENT, &client_id, reason, now)
}

pub(super) fn end_of_client(
    db: &Connection,
    client_id: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Result<u64> {
    end_by(db, END_OF_CLIENT, &client_id, reason, now)
}

pub(super) fn end_on_resource(
    db: &Connection,
    uri: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Result<u64> {
    end_by(db, END_ON_RESOURCE, &uri, reason, now)
}

pub(super) fn end_of_issuer(db: &Connection, slug: &str, now: UnixSeconds) -> Result<u64> {
    end_by(db, END_OF_ISSUER, &slug, EndReason::TrustEnded, now)
}

pub(super) fn end_of_issuer_and_user(
    db: &Connection,
    slug: &str,
    user: UserId,
    now: UnixSeconds,
) -> Result<u64> {
    let reason = EndReason::TrustEnded.word();
    let ended = db.run(
        END_OF_ISSUER_AND_USER,
        params![slug, user.0.as_bytes(), reason, now.0],
    )?;
    Ok(ended as u64)
}

pub(super) fn end_pending_of_session(db: &Connection, session: &Digest, now: UnixSeconds) -> Result<()> {
    end_by(db, END_PENDING_OF_SESSION, session, EndReason::SessionEnded, now).map(drop)
}

fn end_by(db: &Connection, sql: Sql, key: &dyn ToSql, reason: EndReason, now: UnixSeconds) -> Result<u64> {
    Ok(db.run(sql, params![key, reason.word(), now.0])? as u64)
}
