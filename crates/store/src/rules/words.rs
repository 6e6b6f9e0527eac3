//! Values that are stored as words.

use crate::{ClientSource, EndReason, GrantState, TrustedIssuerKind};

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
    }
}
