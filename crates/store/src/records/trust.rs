//! Other servers: whose word counts here, and to whom this server's word is given.

use doorward_oauth::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::UserId;

/// What a trusted issuer speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustedIssuerKind {
    /// People who use a client: identity assertion grants (ID-JAG).
    IdentityProvider,
    /// Programs that have no client here: workload identity federation.
    Workload,
}

/// An issuer whose signed assertions count here (RFC 7523 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// The operator's short name. Unique.
    pub slug: String,
    /// What it speaks about.
    pub kind: TrustedIssuerKind,
    /// The `iss` of its assertions, exactly. Unique together with the kind.
    pub issuer: String,
    /// Keys, algorithms, audiences and rules as JSON; `doorward_oauth::bearer::Terms`.
    pub terms: String,
    /// The word of a disabled issuer does not count.
    pub disabled: bool,
    /// When it was added.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

impl TrustedIssuer {
    /// The same one, whose word counts no more from now on.
    pub(crate) fn disabled_at(self, now: UnixSeconds) -> Self {
        Self {
            disabled: true,
            updated_at: now,
            ..self
        }
    }
}

/// Another authorization server, which gets identity assertions (ID-JAG) of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionAudience {
    /// The operator's short name. Unique.
    pub slug: String,
    /// Its issuer, exactly: the `aud` of its assertions. Unique.
    pub issuer: String,
    /// Lifetime, claims and rules as JSON; `doorward_oauth::id_jag::AudienceTerms`.
    pub terms: String,
    /// A disabled one gets nothing.
    pub disabled: bool,
    /// When it was added.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

/// Whom a trusted issuer means by a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedSubject {
    /// The issuer's slug.
    pub trusted_issuer: String,
    /// `sub`, as the issuer writes it.
    pub subject: String,
    /// The person.
    pub user: UserId,
    /// Since when.
    pub created_at: UnixSeconds,
}
