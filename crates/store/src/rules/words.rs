//! Values that are stored as words.

use crate::{ActorKind, AuditAction, ClientSource, EndReason, GrantState, TrustedIssuerKind};

/// A value that is stored as a word.
pub(crate) trait Word: Sized + Copy + 'static {
    const WORDS: &'static [(Self, &'static str)];

    /// The stored word.
    fn word(self) -> &'static str;

    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(value, _)| *value)
    }
}

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {
        $(impl Word for $type {
            const WORDS: &'static [(Self, &'static str)] = &[$(($type::$variant, $word)),*];
            fn word(self) -> &'static str {
                match self { $($type::$variant => $word),* }
            }
        })*
    };
}

words! {
    ClientSource { Admin = "admin", Dynamic = "dynamic", MetadataDocument = "metadata_document" }
    GrantState { Pending = "pending", Active = "active", Ended = "ended" }
    EndReason {
        CodeReplayed = "code_replayed",
        CodeBurned = "code_burned",
        RefreshTokenReused = "refresh_token_reused",
        RevokedByClient = "revoked_by_client",
        RevokedByUser = "revoked_by_user",
        RevokedByAdmin = "revoked_by_admin",
        ClientDeleted = "client_deleted",
        UserDisabled = "user_disabled",
        ResourceDeleted = "resource_deleted",
        SessionEnded = "session_ended",
        ClientChanged = "client_changed",
        Expired = "expired",
        TrustEnded = "trust_ended",
    }
    TrustedIssuerKind { IdentityProvider = "identity_provider", Workload = "workload" }
    ActorKind {
        System = "system",
        AdminKey = "admin_key",
        Client = "client",
        PublicClient = "public_client",
        Person = "person",
        Anyone = "anyone",
    }
    AuditAction {
        ResourceCreated = "resource.created",
        ResourceUpdated = "resource.updated",
        ResourceDeleted = "resource.deleted",
        ClientCreated = "client.created",
        ClientRegistered = "client.registered",
        ClientUpdated = "client.updated",
        ClientSecretsChanged = "client.secrets_changed",
        ClientDisabled = "client.disabled",
        ClientEnabled = "client.enabled",
        ClientDeleted = "client.deleted",
        ClientExpired = "client.expired",
        UserCreated = "user.created",
        UserUpdated = "user.updated",
        UserPasswordChanged = "user.password_changed",
        UserDisabled = "user.disabled",
        UserEnabled = "user.enabled",
        UserDeleted = "user.deleted",
        SessionStarted = "session.started",
        SessionEnded = "session.ended",
        LoginRefused = "login.refused",
        ConsentRefused = "consent.refused",
        TrustedIssuerCreated = "trusted_issuer.created",
        TrustedIssuerUpdated = "trusted_issuer.updated",
        TrustedIssuerDisabled = "trusted_issuer.disabled",
        TrustedIssuerEnabled = "trusted_issuer.enabled",
        TrustedIssuerDeleted = "trusted_issuer.deleted",
        SubjectLinked = "trusted_issuer.subject_linked",
        SubjectUnlinked = "trusted_issuer.subject_unlinked",
        AssertionAudienceCreated = "assertion_audience.created",
        AssertionAudienceUpdated = "assertion_audience.updated",
        AssertionAudienceDisabled = "assertion_audience.disabled",
        AssertionAudienceEnabled = "assertion_audience.enabled",
        AssertionAudienceDeleted = "assertion_audience.deleted",
        GrantApproved = "grant.approved",
        GrantEnded = "grant.ended",
        GrantExpired = "grant.expired",
        ConsentForgotten = "consent.forgotten",
        EverythingEnded = "grant.all_ended",
        CodeReplayed = "code.replayed",
        CodeBurned = "code.burned",
        DeviceDenied = "device.denied",
        RefreshTokenReused = "refresh_token.reused",
        AssertionReplayed = "assertion.replayed",
        TokenIssued = "token.issued",
        TokenExchanged = "token.exchanged",
        TokenRevoked = "token.revoked",
        RequestRefused = "request.refused",
        RefusalsCounted = "refusals.counted",
        InitialTokenCreated = "initial_token.created",
        InitialTokenDeleted = "initial_token.deleted",
        AdminKeyCreated = "admin_key.created",
        AdminKeyDeleted = "admin_key.deleted",
        SigningKeyCreated = "signing_key.created",
        SigningKeyRotated = "signing_key.rotated",
        SigningKeyRevoked = "signing_key.revoked",
        SigningKeyDeleted = "signing_key.deleted",
        ServerSecretCreated = "server_secret.created",
        ServerSecretsReplaced = "server_secret.replaced",
        MasterKeyChanged = "master_key.changed",
        DatabaseRestored = "database.restored",
        IssuerChanged = "issuer.changed",
        SettingsReloaded = "settings.reloaded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Word + PartialEq + std::fmt::Debug>() {
        for (value, word) in T::WORDS {
            assert_eq!(value.word(), *word);
            assert_eq!(T::from_word(word), Some(*value));
        }
        assert_eq!(T::from_word(""), None);
    }

    #[test]
    fn every_word_reads_back() {
        round_trip::<ClientSource>();
        round_trip::<GrantState>();
        round_trip::<EndReason>();
        round_trip::<TrustedIssuerKind>();
        round_trip::<ActorKind>();
        round_trip::<AuditAction>();
    }
}
