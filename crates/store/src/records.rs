//! What is remembered, one type a kind.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// SHA-256 of the secret (256 random bits, so a fast hash is enough).
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

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// Approved; its code has not been redeemed.
    Pending,
    /// Tokens were issued.
    Active,
    /// Ended; see [`EndReason`].
    Ended,
}

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A code was presented twice (RFC 6749 §4.1.2).
    CodeReplayed,
    /// A code was presented by its client with a wrong `code_verifier`.
    CodeBurned,
    /// A refresh token older than the retry window came back (RFC 9700 §4.14.2).
    RefreshTokenReused,
    /// The client revoked it (RFC 7009).
    RevokedByClient,
    /// The person revoked it.
    RevokedByUser,
    /// An operator revoked it.
    RevokedByAdmin,
    /// The client was removed.
    ClientDeleted,
    /// The person was disabled or removed.
    UserDisabled,
    /// The resource was removed.
    ResourceDeleted,
    /// The browser session ended before the code was redeemed.
    SessionEnded,
    /// The client changed its redirect URIs, keys or name before the code was redeemed (RFC 7592).
    ClientChanged,
    /// Its refresh token was shown after it had been idle too long, or past its absolute end.
    Expired,
    /// The issuer on whose word it rested is trusted no more, or no more with this person.
    TrustEnded,
}

/// "This subject lets this client use this resource with these scopes."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The `gid` claim.
    pub id: GrantId,
    /// Who allowed it; [`UserId::NOBODY`] for a client's own.
    pub user: UserId,
    /// The `sub` of its tokens.
    pub subject: String,
    /// Whom.
    pub client_id: ClientId,
    /// On what: the resource's URI as registered. The first one, of several.
    pub resource: String,
    /// The other resources of a grant that is on several (RFC 8707 §2), as registered.
    pub more_resources: Vec<String>,
    /// What.
    pub scopes: ScopeSet,
    /// Where it stands.
    pub state: GrantState,
    /// Why it ended, when it did.
    pub end_reason: Option<EndReason>,
    /// When it ended.
    pub ended_at: Option<UnixSeconds>,
    /// When the person approved.
    pub created_at: UnixSeconds,
    /// When the person proved who they are.
    pub authenticated_at: UnixSeconds,
    /// How (`amr`).
    pub methods: Vec<String>,
    /// Current refresh token generation; 0 while there is none.
    pub generation: u32,
    /// When the current generation was reached.
    pub generation_at: UnixSeconds,
    /// Goes into the MAC of its refresh tokens.
    pub refresh_salt: [u8; 16],
    /// The absolute end of its refresh tokens; `None` when it has none.
    pub refresh_expires_at: Option<UnixSeconds>,
    /// Last token issued.
    pub last_used_at: UnixSeconds,
    /// The RFC 7638 thumbprint of the `DPoP` key that its refresh tokens are bound to: set when the code of a public
    /// client is redeemed with a proof, and never changed.
    pub dpop_jkt: Option<String>,
    /// The slug of the [`TrustedIssuer`] on whose word it rests; `None` when nobody else's word was needed.
    pub trusted_issuer: Option<String>,
}

/// An authorization code; the code itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Digest of the code.
    pub digest: Digest,
    /// The grant it opens.
    pub grant: GrantId,
    /// Its client.
    pub client_id: ClientId,
    /// Exactly as in the authorization request.
    pub redirect_uri: String,
    /// PKCE S256 challenge.
    pub code_challenge: String,
    /// Whether it may open refresh tokens; the person can say no.
    pub stay_connected: bool,
    /// The thumbprint of the only `DPoP` key with which it can be redeemed (`dpop_jkt`, RFC 9449 §10).
    pub dpop_jkt: Option<String>,
    /// When it stops working.
    pub expires_at: UnixSeconds,
    /// When it was redeemed, if it was.
    pub redeemed_at: Option<UnixSeconds>,
}

/// A device that waits for a person (RFC 8628). Who approves it makes a [`Code`] with the same digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// SHA-256 of the device code.
    pub digest: Digest,
    /// What recognises the user code: a MAC, because the code is short.
    pub user_code: Digest,
    /// Who asks.
    pub client_id: ClientId,
    /// For what: resources' URIs as registered, at least one.
    pub resources: Vec<String>,
    /// What the person is asked to allow.
    pub scopes: ScopeSet,
    /// The client's fingerprint when it asked.
    pub fingerprint: String,
    /// The address that asked, as shown to the person.
    pub address: String,
    /// Seconds that the device has to wait between two polls; grows when it does not.
    pub wait: u32,
    /// Whether the person said no.
    pub denied: bool,
    /// When it asked.
    pub created_at: UnixSeconds,
    /// When both codes stop working.
    pub expires_at: UnixSeconds,
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
    /// When it stops working, if it does.
    pub expires_at: Option<UnixSeconds>,
}

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

/// The record of one access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// `jti`.
    pub jti: String,
    /// The grant it hangs on.
    pub grant: GrantId,
    /// `client_id`.
    pub client_id: ClientId,
    /// `sub`.
    pub subject: String,
    /// `aud`; several are separated by spaces, which no URI has.
    pub resource: String,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `iat`.
    pub issued_at: UnixSeconds,
    /// `exp`.
    pub expires_at: UnixSeconds,
    /// When this one token was revoked, if it was (RFC 7009 on an access token).
    pub revoked_at: Option<UnixSeconds>,
    /// `jti` of the token that it was exchanged from (RFC 8693).
    pub parent: Option<String>,
}

/// A private signing key, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// RFC 7638 thumbprint.
    pub key_id: String,
    /// JWA name, for example `ES256`.
    pub algorithm: String,
    /// PKCS#8, encrypted under the master key.
    pub sealed_private_key: Vec<u8>,
    /// When it was made, and published.
    pub created_at: UnixSeconds,
    /// From when on it signs, until a newer one does.
    pub signs_from: UnixSeconds,
    /// When it was withdrawn, if it was.
    pub revoked_at: Option<UnixSeconds>,
}

/// A server secret, encrypted under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

/// What is encrypted under the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedKind {
    /// The private part of a signing key; its name is the key id.
    SigningKey,
    /// A server secret; its name is the purpose.
    ServerSecret,
}

impl SealedKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::SigningKey, Self::ServerSecret];
}

/// Something that is encrypted under the master key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it is.
    pub kind: SealedKind,
    /// Which one of its kind.
    pub name: String,
    /// The ciphertext.
    pub bytes: Vec<u8>,
}

/// Another ciphertext for something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    /// What is stored, as it was read.
    pub before: Sealed,
    /// The ciphertext to store instead.
    pub after: Vec<u8>,
}

/// An operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// SHA-256 of the key.
    pub digest: Digest,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: UnixSeconds,
}
