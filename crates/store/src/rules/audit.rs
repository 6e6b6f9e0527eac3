//! What is written down of an operation: composed here for both engines, out of the operation and its outcome.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::clients::{is_rotation_alone, keeping};
use super::words::Word as _;
use crate::{
    AdminKey, Approval, ApprovalOutcome, AssertionAudience, AuditAction, AuditEvent, Client, ClientSource,
    EndReason, Grant, GrantFilter, GrantId, InitialAccessToken, Issuance, LinkedSubject, Origin, RedeemCode,
    RedeemOutcome, Resource, RotateOutcome, RotateRefresh, Session, SigningKeyRecord, TrustedIssuer, User,
    UserId,
};

/// Text of others, for example a client's name, is cut off here.
const LONGEST_TEXT: usize = 1024;

/// Whose hands a store is in.
#[derive(Debug)]
pub(crate) struct Hands {
    origin: Origin,
    /// How many events were made in them: each has an id of its own.
    events: AtomicU32,
}

impl Hands {
    pub(crate) const fn new(origin: Origin) -> Self {
        Self {
            origin,
            events: AtomicU32::new(0),
        }
    }

    /// The event of a draft, if there is one to be written.
    pub(crate) fn event(&self, draft: Option<Draft>) -> Option<AuditEvent> {
        let event = draft?.by(&self.origin)?;
        let before = self.events.fetch_add(1, Ordering::Relaxed);
        // The last bits of a UUID of version 7 are random.
        let id = Uuid::from_u128(event.id.as_u128().wrapping_add(before.into()));
        Some(AuditEvent { id, ..event })
    }
}

/// An event to be, but for who and when.
#[derive(Debug)]
pub(crate) struct Draft {
    action: AuditAction,
    refusal: Option<&'static str>,
    /// Whether the refused one showed something that nobody else has.
    proven: bool,
    client_id: Option<String>,
    grant: Option<GrantId>,
    subject: Option<String>,
    resource: Option<String>,
    target: Option<String>,
    detail: Map<String, Value>,
}

impl Draft {
    fn new(action: AuditAction) -> Self {
        Self {
            action,
            refusal: None,
            proven: false,
            client_id: None,
            grant: None,
            subject: None,
            resource: None,
            target: None,
            detail: Map::new(),
        }
    }

    fn refused(mut self, why: &'static str) -> Self {
        self.refusal = Some(why);
        self
    }

    /// A refusal that is worth a row whoever it is: what was shown can be had only once.
    fn proven(mut self) -> Self {
        self.proven = true;
        self
    }

    fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned()).filter(|client_id| !client_id.is_empty());
        self
    }

    fn person(mut self, user: UserId) -> Self {
        self.subject = (!user.is_nobody()).then(|| user.0.to_string());
        self
    }

    fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    fn of_grant(mut self, grant: &Grant) -> Self {
        self.grant = Some(grant.id);
        self.subject = Some(grant.subject.clone());
        self.resource = Some(grant.resource.clone());
        self.client(&grant.client_id)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    /// The event. `None` for what a stranger was refused.
    fn by(self, origin: &Origin) -> Option<AuditEvent> {
        if self.refusal.is_some() && !self.proven && !origin.actor.is_proven() {
            return None;
        }
        Some(AuditEvent {
            id: origin.event,
            at: origin.at,
            action: self.action.into(),
            refusal: self.refusal.map(str::to_owned),
            actor: origin.actor.kind().into(),
            actor_id: origin.actor.id().map(bounded),
            client_id: self
                .client_id
                .or_else(|| origin.actor.client_id().cloned())
                .map(bounded),
            grant: self.grant,
            subject: self.subject.map(bounded),
            resource: self.resource.map(bounded),
            target: self.target.map(bounded),
            request_id: origin.request_id.as_deref().map(str::to_owned),
            address: origin.address.map(|address| address.to_string()),
            detail: self.detail,
        })
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    // PostgreSQL cannot store it.
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    text
}

/// What [`crate::Store::record`] was given, within the bounds.
pub(crate) fn checked(event: AuditEvent) -> AuditEvent {
    AuditEvent {
        refusal: event.refusal.map(bounded),
        actor_id: event.actor_id.map(bounded),
        client_id: event.client_id.map(bounded),
        subject: event.subject.map(bounded),
        resource: event.resource.map(bounded),
        target: event.target.map(bounded),
        request_id: event.request_id.map(bounded),
        ..event
    }
}

// --- operations --------------------------------------------------------------------------------

type Drafted = Option<Draft>;

pub(crate) fn resource(action: AuditAction, resource: &Resource) -> Draft {
    let draft = Draft::new(action).target(&resource.slug);
    Draft {
        resource: Some(resource.uri.clone()),
        ..draft
    }
}

pub(crate) fn resource_updated(before: Option<&Resource>, after: &Resource) -> Draft {
    let changed = before.map(|before| {
        changes(&[
            ("uri", before.uri != after.uri),
            ("display_name", before.display_name != after.display_name),
            ("scopes", before.scopes != after.scopes),
            ("policy", before.policy != after.policy),
        ])
    });
    resource(AuditAction::ResourceUpdated, after).with("changed", changed)
}

pub(crate) fn resource_deleted(before: Option<&Resource>, ended: u64) -> Drafted {
    let draft = resource(AuditAction::ResourceDeleted, before?);
    Some(draft.with("grants_ended", ended))
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

/// A client that changed its own registration (RFC 7592). Who only reads it gets another token too: that is no change.
pub(crate) fn registration_updated(before: Option<&Client>, after: &Client) -> Drafted {
    let before = before?;
    if is_rotation_alone(before, after) {
        return None;
    }
    Some(client_updated(Some(before), &keeping(before, after)))
}

pub(crate) fn client_deleted(client_id: &str, existed: bool, ended: u64) -> Drafted {
    let draft = Draft::new(AuditAction::ClientDeleted).client(client_id);
    (existed || ended > 0).then(|| draft.with("grants_ended", ended))
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

pub(crate) fn user_updated(before: Option<&User>, after: &User) -> Draft {
    let Some(before) = before else {
        return user(AuditAction::UserUpdated, after);
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
    user(action, after).with("changed", changed)
}

pub(crate) fn user_deleted(before: Option<&User>) -> Drafted {
    Some(user(AuditAction::UserDeleted, before?))
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

pub(crate) fn trusted_issuer_updated(before: Option<&TrustedIssuer>, after: &TrustedIssuer) -> Draft {
    let action = match (before.is_some_and(|before| before.disabled), after.disabled) {
        (false, true) => AuditAction::TrustedIssuerDisabled,
        (true, false) => AuditAction::TrustedIssuerEnabled,
        _ => AuditAction::TrustedIssuerUpdated,
    };
    trusted_issuer(action, after)
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
    assertion_audience(action, after)
}

pub(crate) fn assertion_audience_deleted(slug: &str, existed: bool) -> Drafted {
    existed.then(|| Draft::new(AuditAction::AssertionAudienceDeleted).target(slug))
}

/// What came of an earlier identical post was written down then.
pub(crate) fn approved(approval: &Approval, outcome: &ApprovalOutcome) -> Drafted {
    let draft = Draft::new(AuditAction::GrantApproved).of_grant(&approval.grant);
    match outcome {
        ApprovalOutcome::Approved(approved) if approved.fresh => Some(
            draft
                .with("scope", bounded(approval.grant.scopes.to_string()))
                .with("more_resources", approval.grant.more_resources.clone())
                .with("asked", approval.consent.is_some())
                .with("device", approval.code.redirect_uri.is_empty()),
        ),
        ApprovalOutcome::Approved(_) => None,
        ApprovalOutcome::AlreadyRedeemed => Some(draft.refused("already_redeemed")),
        ApprovalOutcome::SignInAgain => Some(draft.refused("signed_out")),
        ApprovalOutcome::ClientGone => Some(draft.refused("client_gone")),
        ApprovalOutcome::ResourceGone => Some(draft.refused("resource_gone")),
    }
}

/// A redeemed code is told of by its token.
pub(crate) fn redeemed(redeem: &RedeemCode, outcome: &RedeemOutcome) -> Drafted {
    if !redeem.replay_ends_grant || *outcome != RedeemOutcome::Replayed {
        return None;
    }
    let draft = Draft::new(AuditAction::CodeReplayed)
        .refused("used_before")
        .proven();
    Some(of_issuance(draft, &redeem.issuance))
}

/// A code that its own client presented wrongly; `ended`: the grant, when it ended by that.
pub(crate) fn burned(ended: Option<&(Grant, EndReason)>) -> Drafted {
    let (grant, reason) = ended?;
    let action = match reason {
        EndReason::CodeReplayed => AuditAction::CodeReplayed,
        _ => AuditAction::CodeBurned,
    };
    let why = match reason {
        EndReason::CodeReplayed => "used_before",
        _ => "code_verifier",
    };
    Some(Draft::new(action).of_grant(grant).refused(why).proven())
}

pub(crate) fn device_denied(client_id: Option<&str>) -> Drafted {
    Some(
        Draft::new(AuditAction::DeviceDenied)
            .client(client_id?)
            .refused("access_denied"),
    )
}

/// A rotation is told of by its token.
pub(crate) fn rotated(rotate: &RotateRefresh, outcome: &RotateOutcome) -> Drafted {
    if *outcome != RotateOutcome::Reused {
        return None;
    }
    let draft = Draft::new(AuditAction::RefreshTokenReused).refused("older_than_retry_window");
    Some(of_issuance(
        draft.proven().with("generation", rotate.generation),
        &rotate.issuance,
    ))
}

fn of_issuance(draft: Draft, issuance: &Issuance) -> Draft {
    Draft {
        grant: Some(issuance.grant),
        subject: Some(issuance.subject.clone()),
        resource: Some(issuance.resource.clone()),
        ..draft.client(&issuance.client_id)
    }
}

/// `one`: the grant, when the filter names one.
pub(crate) fn grants_ended(
    filter: &GrantFilter,
    one: Option<&Grant>,
    reason: EndReason,
    ended: u64,
) -> Drafted {
    if ended == 0 {
        return None;
    }
    let draft = match reason {
        EndReason::CodeReplayed => Draft::new(AuditAction::CodeReplayed)
            .refused("used_before")
            .proven(),
        _ => Draft::new(AuditAction::GrantEnded),
    };
    let draft = match one {
        Some(grant) => draft.of_grant(grant),
        None => Draft {
            client_id: filter.client_id.clone(),
            resource: filter.resource.clone(),
            subject: filter.user.map(|user| user.0.to_string()),
            ..draft
        },
    };
    Some(draft.with("reason", reason.word()).with("grants_ended", ended))
}

/// After the database was put back to an earlier state: everything that was given out. It begins with this.
pub(crate) fn everything_ended() -> Draft {
    Draft::new(AuditAction::EverythingEnded)
}

pub(crate) fn spent(spent: bool) -> Drafted {
    (!spent).then(|| Draft::new(AuditAction::AssertionReplayed).refused("used_before"))
}

pub(crate) fn token_revoked(before: Option<&Issuance>, existed: bool) -> Drafted {
    // Who revokes a token again changes nothing.
    let issuance = before.filter(|issuance| existed && issuance.revoked_at.is_none())?;
    Some(of_issuance(
        Draft::new(AuditAction::TokenRevoked).target(&issuance.jti),
        issuance,
    ))
}

pub(crate) fn signing_key_added(key: &SigningKeyRecord, keys: &[SigningKeyRecord]) -> Drafted {
    let added = keys.iter().any(|known| known.key_id == key.key_id);
    let draft = Draft::new(AuditAction::SigningKeyCreated).target(&key.key_id);
    added.then(|| {
        draft
            .with("algorithm", key.algorithm.as_str())
            .with("signs_from", key.signs_from.0)
    })
}

pub(crate) fn signing_key_replaced(
    revoked: Option<&str>,
    spare: &SigningKeyRecord,
    keys: &[SigningKeyRecord],
) -> Draft {
    let brought = keys.iter().any(|key| key.key_id == spare.key_id);
    let draft = match revoked {
        Some(key_id) => Draft::new(AuditAction::SigningKeyRevoked).target(key_id),
        None => Draft::new(AuditAction::SigningKeyRotated),
    };
    draft.with("created", brought.then_some(spare.key_id.as_str()))
}

pub(crate) fn signing_keys_deleted(removed: u64) -> Drafted {
    (removed > 0).then(|| Draft::new(AuditAction::SigningKeyDeleted).with("keys", removed))
}

pub(crate) fn resealed(changed: u64) -> Drafted {
    (changed > 0).then(|| Draft::new(AuditAction::MasterKeyChanged).with("resealed", changed))
}

pub(crate) fn secret_created(purpose: &str, created: bool) -> Drafted {
    created.then(|| Draft::new(AuditAction::ServerSecretCreated).target(purpose))
}

pub(crate) fn admin_key_added(key: &AdminKey, added: bool) -> Drafted {
    added.then(|| Draft::new(AuditAction::AdminKeyCreated).target(&key.name))
}

/// The names of what changed.
fn changes(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    fields
        .iter()
        .filter(|(_, changed)| *changed)
        .map(|(name, _)| *name)
        .collect()
}

/// Whether a registration added this client (and did not find it).
pub(crate) fn registered(existed: bool, stored: &Client) -> Drafted {
    (!existed).then(|| client(AuditAction::ClientRegistered, stored))
}

pub(crate) fn registered_with_token(registered: bool, added: &Client) -> Drafted {
    let draft = client(AuditAction::ClientRegistered, added);
    registered.then(|| draft.with("initial_token", true))
}
