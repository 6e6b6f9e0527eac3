//! Grants: reading them, and every way to end them.

use std::sync::Arc;

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::errors::Fallible;
use super::statements::{Connection, Sql, find as row, list as rows, run, statements};
use super::together::{Meeting, Together, find_each};
use super::values::{Columns, can_all_be_stored, only};
use super::work::Db;
use super::writes::{Value, Write, Writes, values};
use super::{Engine, consents};
use crate::rules::grants::{AT_A_TIME, Whose, forgets_consent, matches};
use crate::rules::json;
use crate::rules::pages::{page, page_start, rows_to_fetch};
use crate::rules::sweep::CLOCK_ERROR;
use crate::rules::words::Word;
use crate::{Digest, EndReason, Grant, GrantFilter, GrantId, Page, PageRequest, Result, UserId};

/// The columns that [`read`] reads, of a table named `g`.
macro_rules! grant_columns {
    () => {
        "g.id, g.user_id, g.subject, g.client_id, g.resource, g.scopes, g.state, g.end_reason, g.ended_at, \
         g.created_at, g.authenticated_at, g.methods, g.generation, g.generation_at, g.refresh_salt, \
         g.refresh_expires_at, g.last_used_at, g.dpop_jkt, g.more_resources, g.trusted_issuer"
    };
}
pub(super) use grant_columns;

/// What has to stand for tokens to be issued from a grant named `g`: its person (if it has one), client (a workload
/// has none) and resource. A grant on the word of an issuer ends with the trust. `OFFSET 0`: see `together`; for several
/// grants the planner would have all people or clients read.
macro_rules! stands {
    () => {
        "(g.user_id = '00000000-0000-0000-0000-000000000000' \
         OR EXISTS (SELECT 1 FROM person p WHERE p.id = g.user_id AND NOT p.disabled OFFSET 0)) \
         AND (EXISTS (SELECT 1 FROM client k WHERE k.client_id = g.client_id AND NOT k.disabled OFFSET 0) \
         OR (g.trusted_issuer IS NOT NULL AND g.user_id = '00000000-0000-0000-0000-000000000000')) \
         AND EXISTS (SELECT 1 FROM resource r WHERE r.uri = g.resource OFFSET 0)"
    };
}
pub(super) use stands;

/// The filter but for its id and its resource. Parameters: $1 user, $2 client, $4 state. Written so that the planner takes
/// each for a coin's throw: taken for rare, it would have all rows read and sorted for the first ones.
macro_rules! rest_of_filter {
    () => {
        " AND coalesce(g.user_id = $1::uuid, TRUE) AND coalesce(g.client_id = $2::text, TRUE) \
         AND coalesce(g.state = $4::text, TRUE)"
    };
}

/// The filter but for its id. Further parameter: $3 resource, looked up grant by grant (which `OFFSET` says), never all of
/// it at once.
macro_rules! filter {
    () => {
        concat!(
            rest_of_filter!(),
            " AND (coalesce(g.resource = $3::text, TRUE) OR EXISTS (SELECT 1 FROM grant_further m \
             WHERE m.grant_id = g.id AND m.resource = $3 OFFSET 0))"
        )
    };
}

/// The grants on a resource, by index.
macro_rules! on_resource {
    ($resource:literal) => {
        concat!(
            "id = ANY (ARRAY(SELECT o.id FROM access_grant o WHERE o.resource = ",
            $resource,
            " UNION ALL SELECT m.grant_id FROM grant_further m WHERE m.resource = ",
            $resource,
            "))"
        )
    };
}

/// One way into the table: the key uses an index, the filter looks at the rows that it finds.
/// Further parameters: $5 the id to begin below, $6 limit.
macro_rules! page_by {
    ($key:expr) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM access_grant g WHERE ",
            $key,
            filter!(),
            " AND g.id < $5 ORDER BY g.id DESC LIMIT $6"
        )
    };
}

/// Live grants that match, locked in the order of the ids. Further parameters: $5 this one, $6 the id to begin after, $7 limit.
macro_rules! live_by {
    ($key:expr) => {
        concat!(
            "SELECT g.id FROM access_grant g WHERE ",
            $key,
            " AND g.state <> 'ended'",
            filter!(),
            " AND ($5::uuid IS NULL OR g.id = $5) AND g.id > $6 ORDER BY g.id LIMIT $7 FOR UPDATE"
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
            ", ended_at = least(greatest(",
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
        end_those!($which, "$2", "$3")
    };
}

statements! {
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at, more_resources) \
              VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, 0, $7, '{}', $10, $11, $12)";
    INSERT_RESOURCES = "INSERT INTO grant_further (grant_id, resource) SELECT $1, unnest($2::text[])";
    BY_ID = concat!("SELECT ", grant_columns!(), " FROM access_grant g WHERE g.id = $1");
    /// Each with its place among those that were asked for. `OFFSET 0`: see `together`.
    BY_IDS = concat!(
        "SELECT ", grant_columns!(), ", a.place FROM unnest($1::uuid[]) WITH ORDINALITY AS a (id, place) \
         CROSS JOIN LATERAL (SELECT * FROM access_grant o WHERE o.id = a.id OFFSET 0) g"
    );
    PAGE = page_by!("TRUE");
    PAGE_OF_USER = page_by!("g.user_id = $1");
    PAGE_OF_CLIENT = page_by!("g.client_id = $2");
    /// The two ways to be on a resource, a page's worth of each.
    PAGE_ON_RESOURCE = concat!(
        "SELECT ", grant_columns!(), " FROM ((SELECT g.* FROM access_grant g WHERE g.resource = $3", rest_of_filter!(),
        " AND g.id < $5 ORDER BY g.id DESC LIMIT $6) UNION ALL \
         (SELECT g.* FROM grant_further o JOIN access_grant g ON g.id = o.grant_id WHERE o.resource = $3", rest_of_filter!(),
        " AND o.grant_id < $5 ORDER BY o.grant_id DESC LIMIT $6)) g ORDER BY g.id DESC LIMIT $6"
    );
    LIVE = live_by!("TRUE");
    LIVE_ONE = live_by!("g.id = $5");
    LIVE_OF_USER = live_by!("g.user_id = $1");
    LIVE_OF_CLIENT = live_by!("g.client_id = $2");
    LIVE_ON_RESOURCE = live_by!("g.resource = $3");
    LIVE_ON_FURTHER = concat!(
        "SELECT g.id FROM grant_further o JOIN access_grant g ON g.id = o.grant_id WHERE o.resource = $3 \
         AND g.state <> 'ended'", rest_of_filter!(),
        " AND ($5::uuid IS NULL OR g.id = $5) AND o.grant_id > $6 AND g.id > $6 ORDER BY o.grant_id LIMIT $7 FOR UPDATE OF g"
    );
    /// $1 issuer, $2 limit. In the order of an index of those that are alive: what ended drops out of it.
    LIVE_OF_ISSUER = "SELECT id FROM access_grant WHERE trusted_issuer = $1 AND state = 'active' \
                      ORDER BY client_id, subject, resource LIMIT $2 FOR UPDATE";
    END = end!("id = ANY ($1)");
    END_OF_USER = end!("user_id = $1");
    END_PENDING_OF_USER = end!("user_id = $1 AND state = 'pending'");
    END_PENDING_OF_CLIENT = end!("client_id = $1 AND state = 'pending'");
    END_OF_CLIENT = end!("client_id = $1");
    END_ON_RESOURCE = end!(on_resource!("$1"));
    END_OF_ISSUER = end!("trusted_issuer = $1");
    END_OF_ISSUER_AND_USER = end_those!("user_id = $2 AND trusted_issuer = $1", "$3", "$4");
    END_PENDING_OF_SESSION = end!("id = ANY (ARRAY(SELECT grant_id FROM code WHERE session_id = $1 AND redeemed_at IS NULL \
                                   AND redirect_uri <> '')) \
                                   AND state = 'pending'");
}

/// Reads [`grant_columns`].
pub(super) fn read(columns: &mut Columns<'_>) -> Fallible<Grant> {
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
        generation: columns.number()?,
        generation_at: columns.time()?,
        refresh_salt: columns.bytes()?,
        refresh_expires_at: columns.maybe_time()?,
        last_used_at: columns.time()?,
        dpop_jkt: columns.plain()?,
        more_resources: columns.json()?,
        trusted_issuer: columns.plain()?,
    })
}

/// What a new grant begins with, whoever allows it: the first eleven values of an insertion.
pub(super) fn first_values(grant: &Grant) -> Fallible<Vec<Value>> {
    Ok(values![
        grant.id.0,
        grant.user.0,
        grant.subject.clone(),
        grant.client_id.clone(),
        grant.resource.clone(),
        grant.scopes.to_string(),
        grant.created_at.0,
        grant.authenticated_at.0,
        json(&grant.methods)?,
        grant.refresh_salt.to_vec(),
        grant.last_used_at.0,
    ])
}

/// Adds a pending grant.
pub(super) fn insertion(grant: &Grant) -> Fallible<Writes> {
    let mut values = first_values(grant)?;
    values.push(Box::new(json(&grant.more_resources)?));
    let mut writes = Writes::from(Write::new(INSERT, values));
    if !grant.more_resources.is_empty() {
        let values = values![grant.id.0, grant.more_resources.clone()];
        writes.extend([Write::new(INSERT_RESOURCES, values)]);
    }
    Ok(writes)
}

pub(super) async fn find(db: &Connection, id: GrantId) -> Fallible<Option<Grant>> {
    row(db, BY_ID, &[&id.0], read).await
}

/// With others that look for one.
pub(super) async fn read_with_others(engine: &Arc<Engine>, id: GrantId) -> Result<Option<Grant>> {
    let alone = |db: Db| async move { find(&db, id).await };
    engine.read_together(ReadGrant(id), alone).await
}

/// Reads a grant.
pub(super) struct ReadGrant(GrantId);

impl Together for ReadGrant {
    type Answer = Option<Grant>;

    fn meeting(engine: &Engine) -> &Meeting<Self> {
        &engine.grants_to_read
    }

    async fn all(db: &Connection, asked: &[Self]) -> Fallible<Vec<Option<Grant>>> {
        let ids: Vec<Uuid> = asked.iter().map(|ReadGrant(id)| id.0).collect();
        find_each(db, BY_IDS, &[&ids], asked.len(), read).await
    }
}

pub(super) async fn list(
    db: &Connection,
    filter: &GrantFilter,
    request: &PageRequest,
) -> Fallible<Page<Grant>> {
    if let Some(id) = filter.id {
        let one = find(db, id).await?.filter(|grant| matches(filter, grant));
        let items = one.into_iter().collect();
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
    if !can_all_be_stored([&filter.client_id, &filter.resource]) {
        return Ok(page(Vec::new(), request, |grant| grant.id.0.to_string()));
    }
    let (user, state) = (filter.user.map(|user| user.0), filter.state.map(Word::word));
    let limit = i64::from(rows_to_fetch(request));
    let params: [&(dyn ToSql + Sync); 6] =
        [&user, &filter.client_id, &filter.resource, &state, &below, &limit];
    let found = rows(db, sql, &params, read).await?;
    Ok(page(found, request, |grant| grant.id.0.to_string()))
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
pub(super) async fn live(db: &Connection, way: Sql, whose: &Whose, after: Uuid) -> Fallible<Vec<Uuid>> {
    let some = i64::from(AT_A_TIME);
    let filter = match whose {
        Whose::OfIssuer(slug) => return rows(db, way, &[slug, &some], only).await,
        Whose::Matching(filter) => filter,
    };
    if !can_all_be_stored([&filter.client_id, &filter.resource]) {
        return Ok(Vec::new());
    }
    let (user, state) = (filter.user.map(|user| user.0), filter.state.map(Word::word));
    let id = filter.id.map(|id| id.0);
    let params: [&(dyn ToSql + Sync); 7] = [
        &user,
        &filter.client_id,
        &filter.resource,
        &state,
        &id,
        &after,
        &some,
    ];
    rows(db, way, &params, only).await
}

/// Ends these, and forgets the consents that go with them.
pub(super) async fn end_these(
    db: &Connection,
    grants: &[Uuid],
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<()> {
    end_by(db, END, &grants, reason, now).await?;
    if forgets_consent(reason) {
        consents::forget_grants(db, grants).await?;
    }
    Ok(())
}

pub(super) async fn end(
    db: &Connection,
    grant: GrantId,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END, &[grant.0].as_slice(), reason, now).await
}

pub(super) async fn end_of_user(
    db: &Connection,
    user: UserId,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END_OF_USER, &user.0, reason, now).await
}

pub(super) async fn end_pending_of_user(
    db: &Connection,
    user: UserId,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END_PENDING_OF_USER, &user.0, reason, now).await
}

pub(super) async fn end_pending_of_client(
    db: &Connection,
    client_id: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END_PENDING_OF_CLIENT, &client_id, reason, now).await
}

pub(super) async fn end_of_client(
    db: &Connection,
    client_id: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END_OF_CLIENT, &client_id, reason, now).await
}

pub(super) async fn end_on_resource(
    db: &Connection,
    uri: &str,
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    end_by(db, END_ON_RESOURCE, &uri, reason, now).await
}

pub(super) async fn end_of_issuer(db: &Connection, slug: &str, now: UnixSeconds) -> Fallible<u64> {
    end_by(db, END_OF_ISSUER, &slug, EndReason::TrustEnded, now).await
}

pub(super) async fn end_of_issuer_and_user(
    db: &Connection,
    slug: &str,
    user: UserId,
    now: UnixSeconds,
) -> Fallible<u64> {
    let reason = EndReason::TrustEnded.word();
    run(db, END_OF_ISSUER_AND_USER, &[&slug, &user.0, &reason, &now.0]).await
}

/// Only what is still pending: a code may be redeemed in this moment, and its grant outlives the session.
pub(super) async fn end_pending_of_session(
    db: &Connection,
    session: &Digest,
    now: UnixSeconds,
) -> Fallible<()> {
    let session = session.as_slice();
    end_by(db, END_PENDING_OF_SESSION, &session, EndReason::SessionEnded, now)
        .await
        .map(drop)
}

async fn end_by(
    db: &Connection,
    sql: Sql,
    key: &(dyn ToSql + Sync),
    reason: EndReason,
    now: UnixSeconds,
) -> Fallible<u64> {
    run(db, sql, &[key, &reason.word(), &now.0]).await
}
