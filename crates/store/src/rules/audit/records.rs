//! What happens to records: resources, clients, people and their sessions, other servers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Draft, Drafted, bounded};
use crate::rules::clients::only_introspects;
use crate::rules::words::Word as _;
use crate::{
    AssertionAudience, AuditAction, Client, ClientSource, InitialAccessToken, LinkedSubject, Resource,
    Session, TrustedIssuer, User, UserId,
};

pub(crate) fn resource(action: AuditAction, resource: &Resource) -> Draft {
    let draft = Draft::new(action).target(&resource.slug);
    Draft {
        resource: Some(resource.uri.clone()),
        ..draft
    }
}

pub(crate) fn resource_updated(before: Option<&Resource>, after: &Resource, ended: u64) -> Draft {
    let changed = before.map(|before| {
        changes(&[
            ("uri", before.uri != after.uri),
            ("display_name", before.display_name != after.display_name),
            ("scopes", before.scopes != after.scopes),
            ("policy", before.policy != after.policy),
        ])
    });
    resource(AuditAction::ResourceUpdated, after)
        .with("changed", changed)
        .with_ended(ended)
}

/// `servers`: the clients that were this resource.
pub(crate) fn resource_deleted(before: Option<&Resource>, servers: &[Client], ended: u64) -> Vec<Draft> {
    let Some(before) = before else {
        return Vec::new();
    };
    let deleted = resource(AuditAction::ResourceDeleted, before).with("grants_ended", ended);
    let of_servers = servers.iter().map(|server| {
        let slug = before.slug.as_str();
        if only_introspects(server) {
            let deleted = Draft::new(AuditAction::ClientDeleted).client(&server.client_id);
            return deleted.with("resource_server", slug);
        }
        let after = Client {
            resource_server: None,
            ..server.clone()
        };
        client_updated(Some(server), &after)
    });
    [deleted].into_iter().chain(of_servers).collect()
}

fn client(action: AuditAction, client: &Client) -> Draft {
    let draft = Draft::new(action).client(&client.client_id);
    draft.with("source", client.source.word())
}

/// One that registered itself was not created by an operator.
pub(crate) fn client_created(created: &Client) -> Draft {
    let action = match created.source {
        ClientSource::Dynamic => AuditAction::ClientRegistered,
        ClientSource::Admin | ClientSource::MetadataDocument => AuditAction::ClientCreated,
    };
    client(action, created)
}

pub(crate) fn client_updated(before: Option<&Client>, after: &Client) -> Draft {
    let Some(before) = before else {
        return client(AuditAction::ClientUpdated, after);
    };
    let others = [
        ("metadata", before.metadata != after.metadata),
        ("resource_server", before.resource_server != after.resource_server),
        (
            "registration_token",
            before.registration_token != after.registration_token,
        ),
        ("secrets", before.secrets != after.secrets),
        ("disabled", before.disabled != after.disabled),
    ];
    let changed = changes(&others);
    let action = match (before.disabled, after.disabled) {
        (false, true) => AuditAction::ClientDisabled,
        (true, false) => AuditAction::ClientEnabled,
        _ if changed == ["secrets"] => AuditAction::ClientSecretsChanged,
        _ => AuditAction::ClientUpdated,
    };
    client(action, after).with("changed", changed)
}

/// Because it is removed, with more grants than end in one transaction.
pub(crate) fn client_disabled(before: Option<Client>) -> Drafted {
    let before = before.filter(|before| !before.disabled)?;
    let after = Client {
        disabled: true,
        ..before.clone()
    };
    Some(client_updated(Some(&before), &after))
}

pub(crate) fn client_deleted(client_id: &str, existed: bool, ended: u64) -> Drafted {
    let draft = Draft::new(AuditAction::ClientDeleted).client(client_id);
    (existed || ended > 0).then(|| draft.with("grants_ended", ended))
}

/// Whether a registration added this client (and did not find it).
pub(crate) fn registered(existed: bool, stored: &Client) -> Drafted {
    (!existed).then(|| client(AuditAction::ClientRegistered, stored))
}

/// `token`: the id of the initial access token.
pub(crate) fn registered_with_token(token: Uuid, added: &Client) -> Draft {
    client(AuditAction::ClientRegistered, added).with("initial_token", token.to_string())
}

pub(crate) fn initial_token(action: AuditAction, token: &InitialAccessToken) -> Draft {
    let draft = Draft::new(action).target(&token.id.to_string());
    draft.with("name", token.name.as_str())
}

pub(crate) fn initial_token_deleted(id: Uuid, existed: bool) -> Drafted {
    existed.then(|| Draft::new(AuditAction::InitialTokenDeleted).target(&id.to_string()))
}

pub(crate) fn user(action: AuditAction, user: &User) -> Draft {
    Draft::new(action).person(user.id)
}

/// Nothing, when nothing is other than before and nothing ended.
pub(crate) fn user_updated(before: Option<&User>, after: &User, ended: u64) -> Drafted {
    let Some(before) = before else {
        return Some(user(AuditAction::UserUpdated, after));
    };
    let changed = changes(&[
        ("email", before.email != after.email),
        ("name", before.name != after.name),
        ("password", before.password_hash != after.password_hash),
        ("disabled", before.disabled != after.disabled),
    ]);
    let action = match (before.disabled, after.disabled) {
        (false, true) => AuditAction::UserDisabled,
        (true, false) => AuditAction::UserEnabled,
        _ if changed == ["password"] => AuditAction::UserPasswordChanged,
        _ => AuditAction::UserUpdated,
    };
    let is_news = !changed.is_empty() || ended > 0;
    is_news.then(|| user(action, after).with("changed", changed).with_ended(ended))
}

pub(crate) fn user_deleted(before: Option<&User>, ended: u64) -> Drafted {
    Some(user(AuditAction::UserDeleted, before?).with("grants_ended", ended))
}

pub(crate) fn session_started(session: &Session) -> Draft {
    let draft = Draft::new(AuditAction::SessionStarted).person(session.user);
    draft.with("methods", session.methods.clone())
}

pub(crate) fn session_ended(user: Option<UserId>) -> Drafted {
    Some(Draft::new(AuditAction::SessionEnded).person(user?))
}

pub(crate) fn trusted_issuer(action: AuditAction, issuer: &TrustedIssuer) -> Draft {
    let draft = Draft::new(action).target(&issuer.slug);
    draft.with("issuer", issuer.issuer.as_str())
}

pub(crate) fn trusted_issuer_updated(
    before: Option<&TrustedIssuer>,
    after: &TrustedIssuer,
    ended: u64,
) -> Draft {
    let action = match (before.is_some_and(|before| before.disabled), after.disabled) {
        (false, true) => AuditAction::TrustedIssuerDisabled,
        (true, false) => AuditAction::TrustedIssuerEnabled,
        _ => AuditAction::TrustedIssuerUpdated,
    };
    let changed =
        before.map(|before| changed_terms(&before.terms, &after.terms, before.disabled != after.disabled));
    trusted_issuer(action, after)
        .with("changed", changed)
        .with_ended(ended)
}

pub(crate) fn trusted_issuer_deleted(before: Option<&TrustedIssuer>, ended: u64) -> Drafted {
    let draft = trusted_issuer(AuditAction::TrustedIssuerDeleted, before?);
    Some(draft.with("grants_ended", ended))
}

pub(crate) fn subject_linked(link: &LinkedSubject, person_added: bool) -> Draft {
    let draft = Draft::new(AuditAction::SubjectLinked)
        .person(link.user)
        .target(&link.trusted_issuer);

    draft
        .with("subject", bounded(link.subject.clone()))
        .with("person_added", person_added)
}

pub(crate) fn subject_unlinked(slug: &str, subject: &str, before: Option<&LinkedSubject>) -> Drafted {
    let draft = Draft::new(AuditAction::SubjectUnlinked)
        .person(before?.user)
        .target(slug);
    Some(draft.with("subject", bounded(subject.to_owned())))
}

pub(crate) fn assertion_audience(action: AuditAction, audience: &AssertionAudience) -> Draft {
    let draft = Draft::new(action).target(&audience.slug);
    draft.with("issuer", audience.issuer.as_str())
}

pub(crate) fn assertion_audience_updated(
    before: Option<&AssertionAudience>,
    after: &AssertionAudience,
) -> Draft {
    let action = match (before.is_some_and(|before| before.disabled), after.disabled) {
        (false, true) => AuditAction::AssertionAudienceDisabled,
        (true, false) => AuditAction::AssertionAudienceEnabled,
        _ => AuditAction::AssertionAudienceUpdated,
    };
    let changed =
        before.map(|before| changed_terms(&before.terms, &after.terms, before.disabled != after.disabled));
    assertion_audience(action, after).with("changed", changed)
}

pub(crate) fn assertion_audience_deleted(slug: &str, existed: bool) -> Drafted {
    existed.then(|| Draft::new(AuditAction::AssertionAudienceDeleted).target(slug))
}

/// The names of the terms that changed. What cannot be read as an object is `terms`.
fn changed_terms(before: &str, after: &str, disabled: bool) -> Vec<String> {
    let read = |terms| serde_json::from_str::<Map<String, Value>>(terms).ok();
    let mut changed = match (read(before), read(after)) {
        (Some(before), Some(after)) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let differ = |name: &&&String| before.get(**name) != after.get(**name);
            names.iter().filter(differ).map(|name| (*name).clone()).collect()
        }
        _ if before == after => Vec::new(),
        _ => vec!["terms".to_owned()],
    };
    if disabled {
        changed.push("disabled".to_owned());
    }
    changed
}

/// The names of what changed.
fn changes(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    fields
        .iter()
        .filter(|(_, changed)| *changed)
        .map(|(name, _)| *name)
        .collect()
}
