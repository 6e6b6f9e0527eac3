//! The words of the records, as the `OpenAPI` document lists them: whoever reads it can tell a value that exists from one
//! that does not.

use doorward_jose::Algorithm;
use doorward_oauth::client::{ApplicationType, GrantType, TokenEndpointAuthMethod};
use doorward_oauth::id_jag::PERSON_CLAIMS;
use doorward_store::{ActorKind, AuditAction, ClientSource, EndReason, GrantState, TrustedIssuerKind};
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

const STATES: [GrantState; 3] = [GrantState::Pending, GrantState::Active, GrantState::Ended];

const END_REASONS: [EndReason; 13] = [
    EndReason::CodeReplayed,
    EndReason::CodeBurned,
    EndReason::RefreshTokenReused,
    EndReason::RevokedByClient,
    EndReason::RevokedByUser,
    EndReason::RevokedByAdmin,
    EndReason::ClientDeleted,
    EndReason::UserDisabled,
    EndReason::ResourceDeleted,
    EndReason::SessionEnded,
    EndReason::ClientChanged,
    EndReason::Expired,
    EndReason::TrustEnded,
];

const SOURCES: [ClientSource; 3] = [
    ClientSource::Admin,
    ClientSource::Dynamic,
    ClientSource::MetadataDocument,
];

const KINDS: [TrustedIssuerKind; 2] = [TrustedIssuerKind::IdentityProvider, TrustedIssuerKind::Workload];

/// [`GrantState`].
pub(super) fn grant_state() -> RefOr<Schema> {
    RefOr::T(one_of(&STATES).into())
}

/// [`EndReason`].
pub(super) fn end_reason() -> RefOr<Schema> {
    RefOr::T(one_of(&END_REASONS).into())
}

/// [`ClientSource`].
pub(super) fn client_source() -> RefOr<Schema> {
    RefOr::T(one_of(&SOURCES).into())
}

/// [`TrustedIssuerKind`].
pub(super) fn trusted_issuer_kind() -> RefOr<Schema> {
    RefOr::T(one_of(&KINDS).into())
}

/// What can happen.
pub(super) fn audit_action() -> RefOr<Schema> {
    let words: Vec<&str> = AuditAction::all().map(|(_, word)| word).collect();
    RefOr::T(one_of(&words).into())
}

/// Whether it was done.
pub(super) fn audit_outcome() -> RefOr<Schema> {
    RefOr::T(one_of(&["done", "refused"]).into())
}

/// Who can do something.
pub(super) fn actor_kind() -> RefOr<Schema> {
    let words: Vec<&str> = ActorKind::all().map(|(_, word)| word).collect();
    RefOr::T(one_of(&words).into())
}

/// Signature algorithms (JWA names).
pub(super) fn algorithms() -> RefOr<Schema> {
    let array = ArrayBuilder::new().items(one_of(&Algorithm::ALL));
    RefOr::T(array.into())
}

/// Where a signing key stands.
pub(super) fn key_state() -> RefOr<Schema> {
    RefOr::T(one_of(&["next", "active", "previous", "revoked"]).into())
}

/// Grant types (RFC 7591 §2).
pub(super) fn grant_types() -> RefOr<Schema> {
    RefOr::T(ArrayBuilder::new().items(one_of(GrantType::ALL)).into())
}

/// [`TokenEndpointAuthMethod`].
pub(super) fn auth_method() -> RefOr<Schema> {
    RefOr::T(one_of(TokenEndpointAuthMethod::ALL).into())
}

/// [`ApplicationType`].
pub(super) fn application_type() -> RefOr<Schema> {
    RefOr::T(one_of(&[ApplicationType::Native, ApplicationType::Web]).into())
}

/// What can be told of a person.
pub(super) fn person_claims() -> RefOr<Schema> {
    RefOr::T(ArrayBuilder::new().items(one_of(&PERSON_CLAIMS)).into())
}

fn one_of<T: Serialize>(values: &[T]) -> ObjectBuilder {
    let words = values
        .iter()
        .map(|value| serde_json::to_value(value).unwrap_or_default());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    /// What is read as `T`: its own complaint about anything else says so.
    fn read<T: DeserializeOwned>() -> Vec<String> {
        let complaint = serde_json::from_value::<T>("?".into()).err().unwrap().to_string();
        let names = complaint.split('`').skip(3).step_by(2);
        names.map(str::to_owned).collect()
    }

    fn listed(schema: RefOr<Schema>) -> Vec<String> {
        let value = serde_json::to_value(schema).unwrap();
        serde_json::from_value(value["enum"].clone()).unwrap()
    }

    #[test]
    fn every_word_is_listed() {
        assert_eq!(listed(grant_state()), read::<GrantState>());
        assert_eq!(listed(end_reason()), read::<EndReason>());
        assert_eq!(listed(client_source()), read::<ClientSource>());
        assert_eq!(listed(trusted_issuer_kind()), read::<TrustedIssuerKind>());
        assert_eq!(listed(auth_method()), read::<TokenEndpointAuthMethod>());
    }
}
