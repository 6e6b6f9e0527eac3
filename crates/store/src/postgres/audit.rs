//! What was changed or refused.

use std::future::Future;

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::errors::Fallible;
use super::statements::{Connection, Sql, find as row, list as rows, run, statements};
use super::values::{Columns, can_all_be_stored, only};
use super::work::Db;
use super::writes::{Write, Writes, values};
use super::{PostgresStore, issuances};
use crate::rules::audit::Drafts;
use crate::rules::audit_pages::{Bounds, is_enough, merged, wanted_issuances, wants_events};
use crate::rules::json;
use crate::rules::words::Word;
use crate::{AuditEntry, AuditEvent, AuditFilter, Page, PageRequest, Result};

macro_rules! columns {
    () => {
        "e.id, e.at, e.action, e.refusal, e.actor_kind, e.actor, e.client_id, e.grant_id, e.subject, e.resource, \
         e.target, e.request_id, e.address, e.detail"
    };
}

/// One way into the table: the first filter uses an index, the others look at the rows that it finds.
macro_rules! page_by {
    ($key:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM audit_event e WHERE ",
            $key,
            " AND (e.at, e.id) < ($1::bigint, $2::uuid) AND e.at <= $1 AND e.at >= $3 AND e.at <= $4 \
             AND ($5::text IS NULL OR e.action = $5) AND ($6::boolean IS NULL OR (e.refusal IS NULL) = $6) \
             AND ($7::text IS NULL OR e.actor_kind = $7) AND ($8::text IS NULL OR e.actor = $8) \
             AND ($9::text IS NULL OR e.client_id = $9) AND ($10::uuid IS NULL OR e.grant_id = $10) \
             AND ($11::text IS NULL OR e.subject = $11) AND ($12::text IS NULL OR e.resource = $12) \
             AND ($13::text IS NULL OR e.request_id = $13) AND ($14::text IS NULL OR e.address = $14) \
             ORDER BY e.at DESC, e.id DESC LIMIT $15"
        )
    };
}

statements! {
    INSERT = "INSERT INTO audit_event (id, at, action, refusal, actor_kind, actor, client_id, grant_id, subject, resource, \
              target, request_id, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    /// Again after a lost answer.
    RECORD = "INSERT INTO audit_event (id, at, action, refusal, actor_kind, actor, client_id, grant_id, subject, resource, \
              target, request_id, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
              ON CONFLICT DO NOTHING";
    BY_ID = concat!("SELECT ", columns!(), " FROM audit_event e WHERE e.id = $1");
    ENTRIES = page_by!("TRUE");
    ENTRIES_OF_CLIENT = page_by!("e.client_id = $9");
    ENTRIES_OF_GRANT = page_by!("e.grant_id = $10");
    ENTRIES_OF_SUBJECT = page_by!("e.subject = $11");
    ENTRIES_OF_REQUEST = page_by!("e.request_id = $13");
    /// Sorts what was issued in a stretch of time: $5 the stretch's first second, $6 when the last token of it expires.
    ISSUED scans = concat!(
        "SELECT ", issuances::columns!(), " FROM issuance WHERE expires_at > $5 AND expires_at <= $6 AND issued_at >= $5 \
         AND (issued_at, jti) < ($1::bigint, $2::text) AND issued_at >= $3 AND issued_at <= $4 \
         AND ($7::boolean IS NULL OR (parent IS NOT NULL) = $7) AND ($8::text IS NULL OR client_id = $8) \
         AND ($9::uuid IS NULL OR grant_id = $9) AND ($10::text IS NULL OR subject = $10) \
         AND ($11::text IS NULL OR strpos(' ' || resource || ' ', ' ' || $11 || ' ') > 0) \
         ORDER BY issued_at DESC, jti DESC LIMIT $12"
    );
    NEWEST = "SELECT expires_at FROM issuance ORDER BY expires_at DESC LIMIT 1";
    /// The others go with their partitions.
    FORGET = "DELETE FROM audit_event_default WHERE at < $1 \
              AND id = ANY (ARRAY(SELECT id FROM audit_event_default WHERE at < $1 ORDER BY at LIMIT $2))";
}

impl PostgresStore {
    /// Runs a change, and writes down what it was in its own transaction, when somebody is known to do it.
    pub(super) async fn act<T, D, F>(&self, work: impl Fn(Db) -> F) -> Result<T>
    where
        F: Future<Output = Fallible<(T, D)>>,
        D: Into<Drafts>,
    {
        let work = &work;
        self.act_on(
            |_| async { Ok(()) },
            |db, ()| async move {
                let (outcome, drafts) = work(db).await?;
                Ok((outcome, Writes::default(), drafts))
            },
        )
        .await
    }

    /// The same of a change that looks at things first, as [`Engine::transaction`](super::Engine::transaction) does.
    pub(super) async fn act_on<L, T, D, FL, FC>(
        &self,
        look: impl Fn(Db) -> FL,
        change: impl Fn(Db, L) -> FC,
    ) -> Result<T>
    where
        FL: Future<Output = Fallible<L>>,
        FC: Future<Output = Fallible<(T, Writes, D)>>,
        D: Into<Drafts>,
    {
        let change = &change;
        self.transaction_on(look, |db, looked| async move {
            let (outcome, mut writes, drafts) = change(db, looked).await?;
            if let Some(hands) = &self.hands {
                for event in hands.events(drafts) {
                    writes.extend([write(INSERT, event)?]);
                }
            }
            Ok((outcome, writes))
        })
        .await
    }
}

/// May run twice.
pub(super) async fn record(db: &Connection, event: &AuditEvent) -> Fallible<()> {
    write(RECORD, event.clone())?.run(db).await.map(drop)
}

fn write(sql: Sql, event: AuditEvent) -> Fallible<Write> {
    let detail = json(&event.detail)?;
    let values = values![
        event.id,
        event.at.0,
        event.action.as_str().to_owned(),
        event.refusal,
        event.actor.as_str().to_owned(),
        event.actor_id,
        event.client_id,
        event.grant.map(|grant| grant.0),
        event.subject,
        event.resource,
        event.target,
        event.request_id,
        event.address,
        detail,
    ];
    Ok(Write::new(sql, values))
}

fn read(columns: &mut Columns<'_>) -> Fallible<AuditEvent> {
    Ok(AuditEvent {
        id: columns.plain()?,
        at: columns.time()?,
        action: columns.stored_word()?,
        refusal: columns.plain()?,
        actor: columns.stored_word()?,
        actor_id: columns.plain()?,
        client_id: columns.plain()?,
        grant: columns.maybe_grant()?,
        subject: columns.plain()?,
        resource: columns.plain()?,
        target: columns.plain()?,
        request_id: columns.plain()?,
        address: columns.plain()?,
        detail: columns.json()?,
    })
}

pub(super) async fn find(db: &Connection, id: Uuid) -> Fallible<Option<AuditEvent>> {
    row(db, BY_ID, &[&id], read).await
}

pub(super) async fn list(
    db: &Connection,
    filter: &AuditFilter,
    request: &PageRequest,
) -> Fallible<Page<AuditEntry>> {
    let bounds = Bounds::new(filter, request)?;
    let mut lines = Vec::new();
    let texts = [
        &filter.actor_id,
        &filter.client_id,
        &filter.subject,
        &filter.resource,
        &filter.request_id,
    ];
    if !can_all_be_stored(texts) {
        return Ok(merged(lines, request));
    }
    if wants_events(filter) {
        lines = events(db, filter, &bounds).await?;
    }
    lines.extend(issued(db, filter, &bounds).await?);
    Ok(merged(lines, request))
}

async fn events(db: &Connection, filter: &AuditFilter, bounds: &Bounds) -> Fallible<Vec<AuditEntry>> {
    let sql = match filter {
        AuditFilter {
            request_id: Some(_), ..
        } => ENTRIES_OF_REQUEST,
        AuditFilter { grant: Some(_), .. } => ENTRIES_OF_GRANT,
        AuditFilter { subject: Some(_), .. } => ENTRIES_OF_SUBJECT,
        AuditFilter {
            client_id: Some(_), ..
        } => ENTRIES_OF_CLIENT,
        _ => ENTRIES,
    };
    let params: [&(dyn ToSql + Sync); 15] = [
        &bounds.at,
        &bounds.event(),
        &bounds.since,
        &bounds.until,
        &filter.action.map(Word::word),
        &filter.done,
        &filter.actor.map(Word::word),
        &filter.actor_id,
        &filter.client_id,
        &filter.grant.map(|grant| grant.0),
        &filter.subject,
        &filter.resource,
        &filter.request_id,
        &filter.address.map(|address| address.to_string()),
        &i64::from(bounds.rows),
    ];
    rows(db, sql, &params, |columns| {
        Ok(AuditEntry::Event(Box::new(read(columns)?)))
    })
    .await
}

async fn issued(db: &Connection, filter: &AuditFilter, bounds: &Bounds) -> Fallible<Vec<AuditEntry>> {
    let Some(wanted) = wanted_issuances(filter) else {
        return Ok(Vec::new());
    };
    let Some(newest) = row(db, NEWEST, &[], only::<i64>).await? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for first in bounds.stretches(newest) {
        let params: [&(dyn ToSql + Sync); 12] = [
            &bounds.at,
            &bounds.id,
            &bounds.since,
            &bounds.until,
            &first,
            &bounds.last_expiry(newest, filter),
            &wanted.exchanged,
            &wanted.client_id,
            &filter.grant.map(|grant| grant.0),
            &filter.subject,
            &filter.resource,
            &i64::from(bounds.rows),
        ];
        found = rows(db, ISSUED, &params, |columns| {
            Ok(AuditEntry::Issued(Box::new(issuances::read(columns)?)))
        })
        .await?;
        if is_enough(found.len(), bounds) {
            break;
        }
    }
    Ok(found)
}

pub(super) async fn forget(db: &Connection, before: UnixSeconds, limit: u32) -> Fallible<u64> {
    run(db, FORGET, &[&before.0, &i64::from(limit)]).await
}
