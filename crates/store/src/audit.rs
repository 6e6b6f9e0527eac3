//! What was changed or refused: by whom, when, from where.
//!
//! [`Store::acting`](crate::Store::acting) gives the store as somebody uses it. What is changed through it is written
//! down in the transaction of the change: an operation that is undone leaves no event, one that is done leaves exactly
//! one. A token is told of by its [`Issuance`], which is written with it anyway.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use crate::{ClientId, GrantId, Issuance, UserId};

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The server itself: its jobs, and commands that open the store.
    System,
    /// An operator, by the name of the admin key.
    AdminKey(String),
    /// A client that proved a secret or a key.
    Client(ClientId),
    /// A client that proved a secret or a key that it made known itself, without an operator: anybody can be one.
    SelfRegisteredClient(ClientId),
    /// A client that has nothing to prove itself by: it is said to be this one.
    PublicClient(ClientId),
    /// A person who is signed in.
    Person(UserId),
    /// Nobody who proved anything.
    Anyone,
}

/// What kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// [`Actor::System`]
    System,
    /// [`Actor::AdminKey`]
    AdminKey,
    /// [`Actor::Client`] or [`Actor::SelfRegisteredClient`]
    Client,
    /// [`Actor::PublicClient`]
    PublicClient,
    /// [`Actor::Person`]
    Person,
    /// [`Actor::Anyone`]
    Anyone,
}

impl Actor {
    /// What kind it is.
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::System => ActorKind::System,
            Self::AdminKey(_) => ActorKind::AdminKey,
            Self::Client(_) | Self::SelfRegisteredClient(_) => ActorKind::Client,
            Self::PublicClient(_) => ActorKind::PublicClient,
            Self::Person(_) => ActorKind::Person,
            Self::Anyone => ActorKind::Anyone,
        }
    }

    /// Which one of its kind; `None` where there is no telling.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::AdminKey(id)
            | Self::Client(id)
            | Self::SelfRegisteredClient(id)
            | Self::PublicClient(id) => Some(id.clone()),
            Self::Person(id) => Some(id.0.to_string()),
            Self::System | Self::Anyone => None,
        }
    }

    /// The client that acts, if it is one.
    pub const fn client_id(&self) -> Option<&ClientId> {
        match self {
            Self::Client(id) | Self::SelfRegisteredClient(id) | Self::PublicClient(id) => Some(id),
            Self::System | Self::AdminKey(_) | Self::Person(_) | Self::Anyone => None,
        }
    }

    /// Whether it proved to be somebody whom an operator let in. What strangers are refused is not written down: it
    /// would cost them nothing, and a row each.
    pub const fn is_proven(&self) -> bool {
        !matches!(
            self,
            Self::SelfRegisteredClient(_) | Self::PublicClient(_) | Self::Anyone
        )
    }
}

/// Where an operation comes from: one request, or one run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the event, if there will be one: UUID version 7.
    pub event: Uuid,
    /// Now.
    pub at: UnixSeconds,
    /// Who.
    pub actor: Actor,
    /// The id of the request, as in the log and in the answer to an error.
    pub request_id: Option<Arc<str>>,
    /// The caller's address, as far as the server knows it.
    pub address: Option<IpAddr>,
}

/// What was done, or was not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is what its word says")]
pub enum AuditAction {
    ResourceCreated,
    ResourceUpdated,
    ResourceDeleted,
    ClientCreated,
    ClientRegistered,
    ClientUpdated,
    ClientSecretsChanged,
    ClientDisabled,
    ClientEnabled,
    ClientDeleted,
    /// Removed with others, because nobody was allowed anything for so long.
    ClientExpired,
    UserCreated,
    UserUpdated,
    UserPasswordChanged,
    UserDisabled,
    UserEnabled,
    UserDeleted,
    SessionStarted,
    SessionEnded,
    LoginRefused,
    ConsentRefused,
    TrustedIssuerCreated,
    TrustedIssuerUpdated,
    TrustedIssuerDisabled,
    TrustedIssuerEnabled,
    TrustedIssuerDeleted,
    SubjectLinked,
    SubjectUnlinked,
    AssertionAudienceCreated,
    AssertionAudienceUpdated,
    AssertionAudienceDisabled,
    AssertionAudienceEnabled,
    AssertionAudienceDeleted,
    GrantApproved,
    GrantEnded,
    /// Removed with others, because it was of no use any more.
    GrantExpired,
    ConsentForgotten,
    EverythingEnded,
    CodeReplayed,
    CodeBurned,
    DeviceDenied,
    RefreshTokenReused,
    AssertionReplayed,
    /// Told by an issuance.
    TokenIssued,
    /// Told by an issuance that has a parent.
    TokenExchanged,
    TokenRevoked,
    RequestRefused,
    /// Many at once, that have no line each.
    RefusalsCounted,
    InitialTokenCreated,
    InitialTokenDeleted,
    AdminKeyCreated,
    AdminKeyDeleted,
    SigningKeyCreated,
    SigningKeyRotated,
    SigningKeyRevoked,
    SigningKeyDeleted,
    ServerSecretCreated,
    ServerSecretsReplaced,
    MasterKeyChanged,
    DatabaseRestored,
    IssuerChanged,
    SettingsReloaded,
}

/// A value as it is stored: a newer program may have written a word that this one does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<T> {
    /// One that this program knows.
    Known(T),
    /// The word of one that it does not know.
    Unknown(String),
}

impl<T> From<T> for Stored<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq> PartialEq<T> for Stored<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(value) if value == other)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Names it.
    pub id: Uuid,
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub action: Stored<AuditAction>,
    /// Why it was not done; `None`: it was.
    pub refusal: Option<String>,
    /// Who.
    pub actor: Stored<ActorKind>,
    /// Which one of its kind.
    pub actor_id: Option<String>,
    /// The client that it is about.
    pub client_id: Option<ClientId>,
    /// The grant that it is about.
    pub grant: Option<GrantId>,
    /// The `sub` that it is about.
    pub subject: Option<String>,
    /// The resource that it is about (its URI).
    pub resource: Option<String>,
    /// What else it is about: a slug, a key id, a `jti`, an endpoint.
    pub target: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// More: small, flat, never a secret.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// A line of the audit list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEntry {
    /// An event.
    Event(Box<AuditEvent>),
    /// [`AuditAction::TokenIssued`] or, with a parent, [`AuditAction::TokenExchanged`].
    Issued(Box<Issuance>),
}

impl AuditEntry {
    /// When.
    pub fn at(&self) -> UnixSeconds {
        match self {
            Self::Event(event) => event.at,
            Self::Issued(issuance) => issuance.issued_at,
        }
    }

    /// What names it: an event's id, or a `jti`.
    pub fn id(&self) -> String {
        match self {
            Self::Event(event) => event.id.to_string(),
            Self::Issued(issuance) => issuance.jti.clone(),
        }
    }
}

/// Which lines. Empty matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Not before this second.
    pub since: Option<UnixSeconds>,
    /// Before this second.
    pub until: Option<UnixSeconds>,
    /// With this action.
    pub action: Option<AuditAction>,
    /// Done (`true`) or refused.
    pub done: Option<bool>,
    /// By an actor of this kind.
    pub actor: Option<ActorKind>,
    /// By the actor with this id.
    pub actor_id: Option<String>,
    /// About this client.
    pub client_id: Option<String>,
    /// About this grant.
    pub grant: Option<GrantId>,
    /// About this `sub`.
    pub subject: Option<String>,
    /// About this resource (its URI).
    pub resource: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// From this address.
    pub address: Option<IpAddr>,
    /// The longest that a token may live: tokens are found by when they expire.
    pub longest_token: std::time::Duration,
}

impl AuditAction {
    /// Its word, as the admin API shows it.
    pub fn as_str(self) -> &'static str {
        crate::rules::words::Word::word(self)
    }

    /// Every action, with its word.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        <Self as crate::rules::words::Word>::WORDS.iter().copied()
    }

    /// The action with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        crate::rules::words::Word::from_word(word)
    }
}

impl ActorKind {
    /// Its word, as the admin API shows it.
    pub fn as_str(self) -> &'static str {
        crate::rules::words::Word::word(self)
    }

    /// Every kind, with its word.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        <Self as crate::rules::words::Word>::WORDS.iter().copied()
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        crate::rules::words::Word::from_word(word)
    }
}

#[expect(
    private_bounds,
    reason = "the words are the engines' own; these types have them"
)]
impl<T: crate::rules::words::Word> Stored<T> {
    /// Its word, as the admin API shows it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.word(),
            Self::Unknown(word) => word,
        }
    }

    pub(crate) fn from_word(word: &str) -> Self {
        T::from_word(word).map_or_else(|| Self::Unknown(word.to_owned()), Self::Known)
    }
}
