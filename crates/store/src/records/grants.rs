//! Grants, and what is given out under them.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::{ClientId, Digest, GrantId, UserId};

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
    /// The slug of the [`TrustedIssuer`](super::TrustedIssuer) on whose word it rests; `None` when nobody else's word was needed.
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
    /// Exactly as in the authorization request; empty for a device.
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

impl Code {
    /// Whether a device waits for it, and no browser.
    pub const fn is_of_device(&self) -> bool {
        self.redirect_uri.is_empty()
    }
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

/// What decides whether an issued access token works, besides its end and the clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStanding {
    /// When this one token was revoked, if it was.
    pub revoked_at: Option<UnixSeconds>,
    /// Its grant.
    pub grant: GrantId,
    /// The client of the grant: another one than the token's when it was exchanged.
    pub granted_to: ClientId,
    /// Where the grant stands.
    pub state: GrantState,
}
