//! What was changed or refused.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::SqliteStore;
use super::issuances;
use super::statements::{Run, Sql, statements};
use super::values::Columns;
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
            " AND (e.at, e.id) < (?1, ?2) AND e.at >= ?3 AND e.at <= ?4 AND (?5 IS NULL OR e.action = ?5) \
             AND (?6 IS NULL OR (e.refusal IS NULL) = ?6) AND (?7 IS NULL OR e.actor_kind = ?7) \
             AND (?8 IS NULL OR e.actor = ?8) AND (?9 IS NULL OR e.client_id = ?9) \
             AND (?10 IS NULL OR e.grant_id = ?10) AND (?11 IS NULL OR e.subject = ?11) \
             AND (?12 IS NULL OR e.resource = ?12) AND (?13 IS NULL OR e.request_id = ?13) \
             AND (?14 IS NULL OR e.address = ?14) ORDER BY e.at DESC, e.id DESC LIMIT ?15"
        )
    };
}

statements! {
    INSERT = "INSERT INTO audit_event (id, at, action, refusal, actor_kind, actor, client_id, grant_id, subject, resource, \
              target, request_id, address, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    /// Again after a lost answer.
    RECORD = "INSERT INTO audit_event (id, at, action, refusal, actor_kind, actor, client_id, grant_id, subject, resource, \
              target, request_id, address, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
              ON CONFLICT DO NOTHING";
    BY_ID = concat!("SELECT ", columns!(), " FROM audit_event e WHERE e.id = ?1");
    ENTRIES = page_by!("TRUE");
    ENTRIES_OF_CLIENT = page_by!("e.client_id = ?9");
    ENTRIES_OF_GRANT = page_by!("e.grant_id = ?10");
    ENTRIES_OF_SUBJECT = page_by!("e.subject = ?11");
    ENTRIES_OF_REQUEST = page_by!("e.request_id = ?13");
    /// ?5 the stretch's first second, ?6 when the last token of it expires.
    ISSUED scans = concat!(
        "SELECT ", issuances::columns!(), " FROM issuance WHERE expires_at > ?5 AND expires_at <= ?6 AND issued_at >= ?5 \
         AND (issued_at, jti) < (?1, ?2) AND issued_at >= ?3 AND issued_at <= ?4 \
         AND (?7 IS NULL OR (parent IS NOT NULL) = ?7) AND (?8 IS NULL OR client_id = ?8) \
         AND (?9 IS NULL OR grant_id = ?9) AND (?10 IS NULL OR subject = ?10) \
         AND (?11 IS NULL OR instr(' ' || resource || ' ', ' ' || ?11 || ' ') > 0) \
         ORDER BY issued_at DESC, jti DESC LIMIT ?12"
    );
    NEWEST scans = "SELECT expires_at FROM issuance ORDER BY expires_at DESC LIMIT 1";
    FORGET = "DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event WHERE at < ?1 ORDER BY at LIMIT ?2)";
}

impl SqliteStore {
    /// Runs a change, and writes down what it was in its own transaction, when somebody is known to do it.
    pub(super) async fn act<T: Send + 'static, D: Into<Drafts>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<(T, D)> + Send + 'static,
    ) -> Result<T> {
        let (hands, turn) = (self.hands.clone(), self.turn.clone());
        let done = self.write(move |db| {
            let (outcome, drafts) = work(db)?;
            if let Some(hands) = hands {
                hands.events(drafts).try_for_each(|event| insert(db, &event))?;
            }
            // Until it is committed, also when nobody waits for the answer any more: the next one reads what is committed.
            Ok((outcome, turn))
        });
        Ok(done.await?.0)
    }
}

pub(super) fn insert(db: &Connection, event: &AuditEvent) -> Result<()> {
    write(db, INSERT, event)
}

/// May run twice.
pub(super) fn record(db: &Connection, event: &AuditEvent) -> Result<()> {
    write(db, RECORD, event)
}

fn write(db: &Connection, sql: Sql, event: &AuditEvent) -> Result<()> {
    db.run(
        sql,
        params![
            event.id.as_bytes(),
            event.at.0,
            event.action.as_str(),
            event.refusal,
            event.actor.as_str(),
            event.actor_id,
            event.client_id,
            event.grant.map(|grant| *grant.0.as_bytes()),
            event.subject,
            event.resource,
            event.target,
            event.request_id,
            event.address,
            json(&event.detail)?,
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    let mut columns = Columns::new(row);
    Ok(AuditEvent {
        id: columns.plain().map(Uuid::from_bytes)?,
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

pub(super) fn find(db: &Connection, id: Uuid) -> Result<Option<AuditEvent>> {
    Ok(db.find(BY_ID, [id.as_bytes()], read)?)
}

pub(super) fn list(db: &Connection, filter: &AuditFilter, request: &PageRequest) -> Result<Page<AuditEntry>> {
    let bounds = Bounds::new(filter, request)?;
    let mut lines = Vec::new();
    if wants_events(filter) {
        lines = events(db, filter, &bounds)?;
    }
    lines.extend(issued(db, filter, &bounds)?);
    Ok(merged(lines, request))
}

fn events(db: &Connection, filter: &AuditFilter, bounds: &Bounds) -> Result<Vec<AuditEntry>> {
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
    let event = bounds.event();
    let params = params![
        bounds.at,
        event.as_bytes(),
        bounds.since,
        bounds.until,
        filter.action.map(Word::word),
        filter.done,
        filter.actor.map(Word::word),
        filter.actor_id,
        filter.client_id,
        filter.grant.map(|grant| *grant.0.as_bytes()),
        filter.subject,
        filter.resource,
        filter.request_id,
        filter.address.map(|address| address.to_string()),
        bounds.rows,
    ];
    Ok(db.list(sql, params, |row| {
        read(row).map(|event| AuditEntry::Event(Box::new(event)))
    })?)
}

fn issued(db: &Connection, filter: &AuditFilter, bounds: &Bounds) -> Result<Vec<AuditEntry>> {
    let Some(wanted) = wanted_issuances(filter) else {
        return Ok(Vec::new());
    };
    let Some(newest) = db.find(NEWEST, [], |row| row.get(0))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for first in bounds.stretches(newest) {
        let params = params![
            bounds.at,
            bounds.id,
            bounds.since,
            bounds.until,
            first,
            bounds.last_expiry(newest, filter),
            wanted.exchanged,
            wanted.client_id,
            filter.grant.map(|grant| *grant.0.as_bytes()),
            filter.subject,
            filter.resource,
            bounds.rows,
        ];
        found = db.list(ISSUED, params, |row| {
            let issuance = issuances::read(&mut Columns::new(row))?;
            Ok(AuditEntry::Issued(Box::new(issuance)))
        })?;
        if is_enough(found.len(), bounds) {
            break;
        }
    }
    Ok(found)
}

pub(super) fn forget(db: &Connection, before: UnixSeconds, limit: u32) -> Result<u64> {
    Ok(db.run(FORGET, params![before.0, limit])? as u64)
}
