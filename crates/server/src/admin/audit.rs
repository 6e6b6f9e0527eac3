//! `/admin/audit`: what was changed, refused and issued, by whom and from where. It can be read and nothing else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_store::{
    ActorKind, AuditAction, AuditEntry, AuditEvent, AuditFilter, GrantId, Issuance, UnixSeconds,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::{AdminError, ErrorBody, Path, Query};
use super::id::Id;
use super::page::{List, PageQuery};
use super::words;
use crate::config::Tokens;
use crate::context::Context;

/// Which lines: those of which all that is said is true.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Unix seconds; not before.
    since: Option<i64>,
    /// Unix seconds; before.
    until: Option<i64>,
    /// What was done or refused.
    #[param(schema_with = words::audit_action, required = false)]
    action: Option<String>,
    /// Whether it was.
    #[param(schema_with = words::audit_outcome, required = false)]
    outcome: Option<String>,
    /// What kind of actor.
    #[param(schema_with = words::actor_kind, required = false)]
    actor: Option<String>,
    /// Which one: the name of an admin key, a `client_id`, the id of a person.
    actor_id: Option<String>,
    /// About this client.
    client_id: Option<String>,
    /// About this grant.
    #[param(value_type = Option<Uuid>)]
    grant: Option<Id>,
    /// About this `sub`.
    subject: Option<String>,
    /// About this resource (its URI).
    resource: Option<String>,
    /// Of this request: the `error_id` of an answer, the `request_id` of the log.
    request_id: Option<String>,
    /// From this IP address.
    address: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl Which {
    fn filter(self) -> Result<AuditFilter, AdminError> {
        let done = match self.outcome.as_deref() {
            None => None,
            Some(DONE) => Some(true),
            Some(REFUSED) => Some(false),
            Some(_) => return Err(AdminError::invalid("outcome must be done or refused.")),
        };
        Ok(AuditFilter {
            since: self.since.map(UnixSeconds),
            until: self.until.map(UnixSeconds),
            action: word("action", self.action.as_deref(), AuditAction::from_word)?,
            done,
            actor: word("actor", self.actor.as_deref(), ActorKind::from_word)?,
            actor_id: self.actor_id,
            client_id: self.client_id,
            grant: Id::read_any(self.grant.as_ref(), "grant")?.map(GrantId),
            subject: self.subject,
            resource: self.resource,
            request_id: self.request_id,
            address: self.address.as_deref().map(address).transpose()?,
            longest_token: Tokens::LONGEST_ACCESS_TTL.duration(),
        })
    }
}

/// However it is written: the list has the usual form, and of an IPv4 address that came as IPv6 its own.
fn address(text: &str) -> Result<IpAddr, AdminError> {
    let read = text.parse::<IpAddr>();
    read.map(|address| address.to_canonical()).map_err(|_| {
        AdminError::invalid("address must be an IP address, such as 198.51.100.7 or 2001:db8::7.")
    })
}

fn word<T>(
    member: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, AdminError> {
    let Some(text) = text else { return Ok(None) };
    let unknown = || {
        let sentence =
            "is none that there is; GET /admin/openapi.json lists them, such as client.created or admin_key.";
        AdminError::invalid(format!("{member} {sentence}"))
    };
    read(text).map(Some).ok_or_else(unknown)
}

const DONE: &str = "done";
const REFUSED: &str = "refused";

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditBody {
    /// Of an event its own; of a token its `jti`.
    id: String,
    /// Unix seconds.
    at: i64,
    #[schema(schema_with = words::audit_action)]
    action: String,
    #[schema(schema_with = words::audit_outcome)]
    outcome: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What kind of actor. Of a token it is its client, whether or not it can prove who it is.
    #[schema(schema_with = words::actor_kind)]
    actor: String,
    /// The name of the admin key, the `client_id`, the id of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Uuid>,
    /// The `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The resource's URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// What else it is about: a slug, a key id, a `jti`, an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// As in the log and in the answer. Absent for tokens and for what runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// More about it, by action.
    #[serde(skip_serializing_if = "Map::is_empty")]
    detail: Map<String, Value>,
}

impl From<AuditEvent> for AuditBody {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: event.at.seconds(),
            action: event.action.as_str().to_owned(),
            outcome: if event.refusal.is_none() { DONE } else { REFUSED },
            reason: event.refusal,
            actor: event.actor.as_str().to_owned(),
            actor_id: event.actor_id,
            client_id: event.client_id,
            grant: event.grant.map(|grant| grant.0),
            subject: event.subject,
            resource: event.resource,
            target: event.target,
            request_id: event.request_id,
            address: event.address,
            detail: event.detail,
        }
    }
}

impl From<Issuance> for AuditBody {
    fn from(issuance: Issuance) -> Self {
        let action = match issuance.parent {
            None => AuditAction::TokenIssued,
            Some(_) => AuditAction::TokenExchanged,
        };
        let mut detail = Map::new();
        detail.insert("scope".to_owned(), issuance.scopes.to_string().into());
        detail.insert("expires_at".to_owned(), issuance.expires_at.seconds().into());
        if let Some(revoked_at) = issuance.revoked_at {
            detail.insert("revoked_at".to_owned(), revoked_at.seconds().into());
        }
        if let Some(parent) = issuance.parent {
            detail.insert("parent".to_owned(), parent.into());
        }
        Self {
            id: issuance.jti,
            at: issuance.issued_at.seconds(),
            action: action.as_str().to_owned(),
            outcome: DONE,
            reason: None,
            actor: ActorKind::Client.as_str().to_owned(),
            actor_id: Some(issuance.client_id.clone()),
            client_id: Some(issuance.client_id),
            grant: Some(issuance.grant.0),
            subject: Some(issuance.subject),
            resource: Some(issuance.resource),
            target: None,
            request_id: None,
            address: None,
            detail,
        }
    }
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        match entry {
            AuditEntry::Event(event) => (*event).into(),
            AuditEntry::Issued(issuance) => (*issuance).into(),
        }
    }
}

/// What was changed, refused and issued, newest first.
#[utoipa::path(get, path = "/admin/audit", params(Which), responses((status = OK, body = List<AuditBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(mut which): Query<Which>,
) -> Result<Json<List<AuditBody>>, AdminError> {
    let page = PageQuery {
        cursor: which.cursor.take(),
        limit: which.limit,
    }
    .request(&ctx, "audit")?;
    let entries = ctx.store.audit_entries(which.filter()?, page).await?;
    Ok(Json(List::of(&ctx, "audit", entries, AuditBody::from)))
}

/// One thing that happened.
#[utoipa::path(get, path = "/admin/audit/{id}", params(("id" = String, Path, description = "The id of an event, or the `jti` of a token.")),
    responses((status = OK, body = AuditBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(id): Path<String>,
) -> Result<Json<AuditBody>, AdminError> {
    if let Ok(id) = Uuid::try_parse(&id)
        && let Some(event) = ctx.store.audit_event(id).await?
    {
        return Ok(Json(event.into()));
    }
    let issuance = ctx.store.issuance(&id).await?.ok_or(AdminError::NotFound(
        "There is no event and no token with this id; list the audit events to see what there is.",
    ))?;
    Ok(Json(issuance.into()))
}
