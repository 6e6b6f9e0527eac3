//! What is remembered, one type a kind.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use grants::{Code, DeviceAuthorization, EndReason, Grant, GrantState, Issuance, TokenStanding};
pub use keys::{
    AdminKey, Look, Reseal, Schema, Sealed, SealedKind, SealedSecret, SecretsInUse, SigningKeyRecord,
};
pub use trust::{AssertionAudience, LinkedSubject, TrustedIssuer, TrustedIssuerKind};

mod grants;
mod keys;
mod trust;

/// SHA-256 (or HMAC-SHA-256) of a secret that is itself never stored: a session id, a code, a client
/// secret, an admin key.
pub type Digest = [u8; 32];

/// `client_id` as the client sends it.
pub type ClientId = String;

/// Names a grant; the `gid` claim of its access tokens. UUID version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId(pub Uuid);

/// Names a person; the `sub` claim. UUID version 4, so that it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Nobody: in place of the person in a grant that is a client's own (`client_credentials`).
    pub const NOBODY: Self = Self(Uuid::nil());

    /// Whether this stands in place of a person.
    pub fn is_nobody(self) -> bool {
        self == Self::NOBODY
    }
}

/// A protected resource: an MCP server whose tokens this server issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The operator's short name. Unique.
    pub slug: String,
    /// The resource identifier (RFC 8707), exactly as registered. Unique.
    pub uri: String,
    /// Shown to people.
    pub display_name: String,
    /// What can be asked for, in the operator's order.
    pub scopes: Vec<ResourceScope>,
    /// What the operator demands of its tokens.
    pub policy: ResourcePolicy,
    /// When it was added.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

/// What the operator demands of a resource's tokens. The default demands nothing and lets nobody exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcePolicy {
    /// Whether every token is bound to a `DPoP` key (RFC 9449).
    pub dpop_bound_access_tokens_required: bool,
    /// Clients that may get tokens of this resource in exchange for tokens of others (RFC 8693), by `client_id`.
    pub exchange_clients: Vec<String>,
    /// How long access tokens are good, in seconds; the server's setting where absent, as for the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_ttl: Option<u32>,
    /// How long refresh tokens stay good unused, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_idle_ttl: Option<u32>,
    /// How long a grant can be refreshed in all, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_absolute_ttl: Option<u32>,
    /// How long ago a person may have signed in when they allow something (RFC 9470), in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_auth_age: Option<u32>,
    /// What of the person goes into the tokens: `email`, `name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub person_claims: Vec<String>,
    /// Claims that every token has, with their values.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// One scope of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceScope {
    /// The scope token (RFC 6749 §3.3).
    pub name: String,
    /// Shown to people on the consent page.
    pub description: String,
    /// The scope at an upstream provider, for brokered resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Whether a request without `scope` gets it.
    #[serde(default = "yes")]
    pub default: bool,
}

const fn yes() -> bool {
    true
}

/// How a client became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientSource {
    /// An operator registered it.
    Admin,
    /// It registered itself (RFC 7591).
    Dynamic,
    /// A client ID metadata document; this is the snapshot taken at the last approval.
    MetadataDocument,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub client_id: ClientId,
    /// How it became known.
    pub source: ClientSource,
    /// Effective client metadata (RFC 7591 §2) as JSON; `doorward_oauth::client::EffectiveClient`.
    pub metadata: String,
    /// Live secrets, newest first; empty for public clients. More than one during a rotation.
    pub secrets: Vec<ClientSecret>,
    /// Changes when what the person agreed to changes: redirect URIs, keys, name.
    pub fingerprint: String,
    /// The slug of the resource that this client *is*: it may introspect that resource's tokens.
    pub resource_server: Option<String>,
    /// SHA-256 of the token with which it manages its registration (RFC 7592), if it has one.
    pub registration_token: Option<Digest>,
    /// A disabled client gets nothing.
    pub disabled: bool,
    /// When it was added.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

/// The digest of a client secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// A keyed digest of the secret (256 random bits, so a fast one is enough).
    pub digest: Digest,
    /// When it stops working, if it does (the old one after a rotation).
    pub expires_at: Option<UnixSeconds>,
}

/// A person who can sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The `sub` claim.
    pub id: UserId,
    /// Unique, compared in lower case.
    pub email: String,
    /// Shown on pages.
    pub name: String,
    /// PHC string (argon2id); `None` for people without a password.
    pub password_hash: Option<String>,
    /// A disabled person cannot sign in and has no live grants.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Digest of the cookie's value.
    pub id: Digest,
    /// Who is signed in.
    pub user: UserId,
    /// When the person proved who they are (`auth_time`).
    pub authenticated_at: UnixSeconds,
    /// How (`amr`, RFC 8176), for example `pwd`.
    pub methods: Vec<String>,
    /// Last use.
    pub last_seen_at: UnixSeconds,
    /// The absolute end.
    pub expires_at: UnixSeconds,
}

/// What a person allowed a client on a resource; lets a later request pass without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Every scope allowed so far.
    pub scopes: ScopeSet,
    /// The client's fingerprint when the person was asked.
    pub fingerprint: String,
    /// The redirect URIs that the person has seen (as requested; loopback without port).
    pub redirect_uris: Vec<String>,
    /// When.
    pub granted_at: UnixSeconds,
}

/// A token with which clients may register where registration is not open (RFC 7591 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialAccessToken {
    /// Names it.
    pub id: Uuid,
    /// SHA-256 of the token.
    pub digest: Digest,
    /// What it is for.
    pub name: String,
    /// How many registrations it is still good for; `None`: any number.
    pub uses_left: Option<u32>,
    /// When it was made.
    pub created_at: UnixSeconds,
    /// When it stops working, if it does; when its last use ended it, if that came first.
    pub expires_at: Option<UnixSeconds>,
}
