//! The audit list: events and issuances, by time.

use uuid::Uuid;

use super::pages::{page, rows_to_fetch};
use crate::{ActorKind, AuditAction, AuditEntry, AuditFilter, Page, PageRequest, Result, StoreError};

/// What a page begins below, and between which times.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// The time of the last line of the page before.
    pub(crate) at: i64,
    /// Its id.
    pub(crate) id: String,
    /// The first second that counts.
    pub(crate) since: i64,
    /// The last second that counts.
    pub(crate) until: i64,
    /// Rows to fetch of each kind.
    pub(crate) rows: u32,
}

impl Bounds {
    pub(crate) fn new(filter: &AuditFilter, request: &PageRequest) -> Result<Self> {
        let (at, id) = match &request.after {
            None => (i64::MAX, String::new()),
            Some(after) => parse(after).ok_or(StoreError::Invalid("this page token was given by no page"))?,
        };
        Ok(Self {
            at,
            id,
            since: filter.since.map_or(i64::MIN, |since| since.0),
            until: filter.until.map_or(i64::MAX, |until| until.0.saturating_sub(1)),
            rows: rows_to_fetch(request),
        })
    }

    /// The id as events have it. A `jti` of another form sorts behind all of them.
    pub(crate) fn event(&self) -> Uuid {
        Uuid::try_parse(&self.id).unwrap_or(Uuid::max())
    }

    /// The stretches of time in which issuances are looked for, one after the other until there are enough: the first
    /// second of each. They are found by when they expire, which the hot path has an index for: `newest` is the last
    /// second in which one does. In a stretch everything is found that was issued in it.
    pub(crate) fn stretches(&self, newest: i64) -> impl Iterator<Item = i64> {
        let (top, since) = (self.at.min(self.until).min(newest), self.since);
        let first = move |seconds: i64| top.saturating_sub(seconds).max(since);
        let mut stretches = vec![first(600), first(7200), first(2 * 86_400), since];
        stretches.dedup();
        stretches.into_iter()
    }

    /// Nothing that was issued in time expires later.
    pub(crate) fn last_expiry(&self, newest: i64, filter: &AuditFilter) -> i64 {
        let longest = i64::try_from(filter.longest_token.as_secs()).unwrap_or(i64::MAX);
        self.at.min(self.until).min(newest).saturating_add(longest)
    }
}

fn parse(after: &str) -> Option<(i64, String)> {
    let (at, id) = after.split_once('.')?;
    Some((at.parse().ok()?, id.to_owned()))
}

/// Whether events can match.
pub(crate) fn wants_events(filter: &AuditFilter) -> bool {
    !matches!(
        filter.action,
        Some(AuditAction::TokenIssued | AuditAction::TokenExchanged)
    )
}

/// Which issuances can match.
#[derive(Debug)]
pub(crate) struct Issued {
    /// Exchanged ones, or those that are not; both where absent.
    pub(crate) exchanged: Option<bool>,
    /// Of this client.
    pub(crate) client_id: Option<String>,
}

/// `None`: none of them. Their actor is their client, they were all done, and of their requests nothing is known.
pub(crate) fn wanted_issuances(filter: &AuditFilter) -> Option<Issued> {
    let exchanged = match filter.action {
        None => None,
        Some(AuditAction::TokenIssued) => Some(false),
        Some(AuditAction::TokenExchanged) => Some(true),
        Some(_) => return None,
    };
    if filter.done == Some(false)
        || filter.request_id.is_some()
        || filter.address.is_some()
        || filter.actor.is_some_and(|actor| actor != ActorKind::Client)
    {
        return None;
    }
    let client_id = match (&filter.client_id, &filter.actor_id) {
        (Some(one), Some(other)) if one != other => return None,
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    Some(Issued { exchanged, client_id })
}

/// The page out of the newest lines of both kinds.
pub(crate) fn merged(mut lines: Vec<AuditEntry>, request: &PageRequest) -> Page<AuditEntry> {
    lines.sort_by_cached_key(|line| std::cmp::Reverse((line.at(), line.id())));
    page(lines, request, |line| format!("{}.{}", line.at().0, line.id()))
}

/// Ends the stretches: whether these are enough lines.
pub(crate) fn is_enough(found: usize, bounds: &Bounds) -> bool {
    found >= bounds.rows as usize
}
