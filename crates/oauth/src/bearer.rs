//! Assertions as grants (RFC 7523 §2.1): an issuer that the operator trusts says who somebody is, and its rules say
//! what that is worth here.
//!
//! Two kinds: an identity provider speaks about a person who uses a client (Identity Assertion Authorization Grant,
//! ID-JAG), a platform about a program that has no client here (workload identity federation). The rules are pure; who
//! has the issuer's keys and who the person is, is up to the program.

mod pattern;
mod terms;

use std::time::Duration;

use doorward_jose::{Jwk, Jws, json, sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub use pattern::{MAX_PATTERN_LENGTH, Pattern};
pub use terms::{ANY_CLIENT, Allowed, KeySource, Rule, ScopeRefusal, Terms, narrow};

use crate::assertion::MAX_JTI_BYTES;
use crate::claims::{Audience, numeric_date, optional_numeric_date, present};
use crate::scope::ScopeSet;
use crate::time::UnixSeconds;

/// The `typ` of an ID-JAG.
pub const ID_JAG_TYP: &str = "oauth-id-jag+jwt";
/// What a server that takes ID-JAGs lists in `authorization_grant_profiles_supported`.
pub const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
/// The longest `sub` that is taken, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// How long an ID token may be good. What is given for it ends no later.
pub const MAX_ID_TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// How far clocks may be apart. `exp` gets nothing of it.
pub const MAX_SKEW: Duration = Duration::from_mins(1);

/// What an assertion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person who uses a client.
    IdJag,
    /// A program.
    Workload,
    /// A person who signed in to a client: an ID token (OpenID Connect Core §2), as the subject of a token exchange.
    IdToken,
}

impl Kind {
    /// The kind by the header's `typ`; `None` for other kinds of JWT, which never are grants (RFC 8725 §3.11). Platforms
    /// write `JWT`, `JOSE` (SPIFFE JWT-SVID §2.3) or nothing. Media types do not know case (RFC 2045 §5.1).
    pub fn of_typ(typ: Option<&str>) -> Option<Self> {
        let Some(typ) = typ else {
            return Some(Self::Workload);
        };
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            ID_JAG_TYP => Some(Self::IdJag),
            "jwt" | "jose" => Some(Self::Workload),
            _ => None,
        }
    }
}

/// Why an assertion is no grant. For logs; whoever sent it learns only that it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// `alg` is not allowed for this issuer.
    #[error("the assertion's alg is not allowed for its issuer")]
    Algorithm,
    /// The signature is not the key's.
    #[error("the assertion's signature is not valid")]
    Signature,
    /// A required claim is missing, or a claim has the wrong type.
    #[error("the assertion's claims are not complete")]
    Claims,
    /// `iss` is not the issuer.
    #[error("the assertion's iss is another one")]
    Issuer,
    /// `sub` is empty, too long or has control characters.
    #[error("the assertion's sub is not usable")]
    Subject,
    /// `aud` is not this server alone.
    #[error("the assertion's aud is not this server alone")]
    Audience,
    /// `exp` has passed, or `iat` lies too far in the past.
    #[error("the assertion is too old")]
    Stale,
    /// `iat` or `nbf` lies too far in the future.
    #[error("the assertion is from the future")]
    FromTheFuture,
    /// `auth_time` lies too far in the future: it would pass for recent as long as it does.
    #[error("the assertion's auth_time is in the future; it has to be in seconds")]
    SignInFromTheFuture,
    /// `exp` lies further ahead than is allowed.
    #[error("the assertion would be good for too long")]
    TooLong,
    /// `jti` is missing where it is needed, empty, too long or has control characters.
    #[error("the assertion's jti is not usable")]
    Jti,
    /// `tenant` is not the one that is trusted: a subject is somebody's together with it alone.
    #[error("the assertion's tenant is not the one that its issuer is trusted with")]
    Tenant,
    /// It is restricted in a way that cannot be kept.
    #[error("the assertion is restricted by authorization_details, which are not read")]
    AuthorizationDetails,
    /// A logout token, an access token, or something else that is signed with the same keys.
    #[error("it is no ID token")]
    NoIdToken,
}

/// An assertion that holds: its issuer says this, to this server, now. Nothing is decided yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// `iss`.
    pub issuer: String,
    /// `sub`; means something together with the issuer alone (RFC 7519 §4.1.2).
    pub subject: String,
    /// `jti`; there in every ID-JAG.
    pub jti: Option<String>,
    /// `iat`; there in every ID-JAG.
    pub issued_at: Option<UnixSeconds>,
    /// `exp`.
    pub expires_at: UnixSeconds,
    /// The thumbprint of the key that whoever shows it has to prove (RFC 7800, RFC 9449 §6).
    pub key_thumbprint: Option<String>,
    /// What an ID-JAG or an ID token says besides.
    pub person: Option<Person>,
    /// Every claim, for the rules.
    pub claims: Map<String, Value>,
}

impl Assertion {
    /// When it was made, at the earliest: by its `iat` and a clock that is ahead, or as long before its `exp` as the terms
    /// allow.
    pub fn made_at(&self, terms: &Terms) -> UnixSeconds {
        match self.issued_at {
            Some(iat) => iat - MAX_SKEW,
            None => self.expires_at - (terms.max_lifetime() + MAX_SKEW),
        }
    }
}

/// What an ID-JAG says of the person, the client and the request. Its `act` is the provider's word about others, and
/// counts for nothing: who acts is the client that authenticated itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// The client that may show it.
    pub client_id: String,
    /// The resources that it is for; none when the provider leaves that open.
    #[serde(default, deserialize_with = "present")]
    pub resource: Option<Audience>,
    /// The scopes that the provider allows; `None` when it leaves that to this server.
    #[serde(default, deserialize_with = "present")]
    pub scope: Option<ScopeSet>,
    /// When the person signed in there.
    #[serde(default, deserialize_with = "optional_numeric_date")]
    pub auth_time: Option<UnixSeconds>,
    /// How (RFC 8176).
    #[serde(default, deserialize_with = "if_usable")]
    pub amr: Option<Vec<String>>,
    /// Never finds a person: addresses change hands.
    #[serde(default, deserialize_with = "if_usable")]
    pub email: Option<String>,
    /// Whether the provider stands for the address.
    #[serde(default, deserialize_with = "boolean_or_its_name")]
    pub email_verified: Option<bool>,
    /// Shown on pages.
    #[serde(default, deserialize_with = "if_usable")]
    pub name: Option<String>,
}

/// What only describes: of another type it counts as absent, and the assertion is good without it.
fn if_usable<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Value::deserialize(deserializer).map(|value| serde_json::from_value(value).ok())
}

/// Some providers write `"true"` and `"false"`. What is neither is not verified.
fn boolean_or_its_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(Some(match Value::deserialize(deserializer)? {
        Value::Bool(verified) => verified,
        Value::String(name) => name == "true",
        _ => false,
    }))
}

/// What is read of an ID token. The nonce is between the provider and the client.
#[derive(Deserialize)]
struct Identity {
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    auth_time: Option<UnixSeconds>,
    #[serde(default, deserialize_with = "if_usable")]
    amr: Option<Vec<String>>,
    #[serde(default, deserialize_with = "if_usable")]
    email: Option<String>,
    #[serde(default, deserialize_with = "boolean_or_its_name")]
    email_verified: Option<bool>,
    #[serde(default, deserialize_with = "if_usable")]
    name: Option<String>,
}

impl Identity {
    /// The client that the token was made for is the one audience that it has, and its `azp` if it has one (OpenID
    /// Connect Core §3.1.3.7).
    fn of_client(self, client_id: &str) -> Result<Person, BearerError> {
        if self.azp.is_some_and(|azp| azp != client_id) {
            return Err(BearerError::Audience);
        }
        Ok(Person {
            client_id: client_id.to_owned(),
            resource: None,
            scope: None,
            auth_time: self.auth_time,
            amr: self.amr,
            email: self.email,
            email_verified: self.email_verified,
            name: self.name,
        })
    }
}

#[derive(Deserialize)]
struct Base {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(deserialize_with = "numeric_date")]
    exp: UnixSeconds,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    iat: Option<UnixSeconds>,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    nbf: Option<UnixSeconds>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Proven>,
}

/// A `cnf` of another kind than `jkt` cannot be checked here, so that the assertion is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    jkt: String,
}

impl Assertion {
    /// Names the assertion among all assertions, as a digest: issuer and `jti`, because a signature may have twins.
    pub fn replay_id(&self) -> Option<[u8; 32]> {
        let jti = self.jti.as_deref()?;
        let length = self.issuer.len().to_string();
        Some(sha256(
            [length.as_str(), ":", &self.issuer, jti].concat().as_bytes(),
        ))
    }
}

/// What an assertion of this kind must not be, whatever else it says.
fn check_kind(kind: Kind, claims: &Map<String, Value>, terms: &Terms) -> Result<(), BearerError> {
    if kind == Kind::Workload {
        return Ok(());
    }
    // An issuer of several tenants gives one subject to several people.
    let tenant = claims.get("tenant");
    if tenant.is_some() != terms.tenant.is_some()
        || tenant.is_some_and(|tenant| tenant.as_str() != terms.tenant.as_deref())
    {
        return Err(BearerError::Tenant);
    }
    if kind == Kind::IdJag {
        // RFC 9396: what is not understood must not be taken for nothing.
        return match claims.get("authorization_details") {
            Some(_) => Err(BearerError::AuthorizationDetails),
            None => Ok(()),
        };
    }
    // Providers sign other JWTs with the same keys, for the same client and without a `typ` in the header: logout tokens
    // (OpenID Connect Back-Channel Logout §2.4), and their own access tokens.
    let is_of_another_kind = ["events", "scope", "scp", "appid"]
        .iter()
        .any(|name| claims.contains_key(*name));
    let typ = claims.get("typ").and_then(Value::as_str);
    if is_of_another_kind || typ.is_some_and(|typ| !["ID", "JWT"].contains(&typ)) {
        return Err(BearerError::NoIdToken);
    }
    Ok(())
}

/// Checks an assertion of `issuer`, signed with `key`. `audiences`: the names of this server, of which the assertion has
/// to give exactly one and nobody else's, so that nobody who gets one can pass it on. Of an ID token they are the names of
/// the client that shows it.
///
/// # Errors
/// The first rule that the assertion breaks.
pub fn verify(
    assertion: &Jws<'_>,
    key: &Jwk,
    kind: Kind,
    issuer: &str,
    terms: &Terms,
    audiences: &[&str],
    now: UnixSeconds,
) -> Result<Assertion, BearerError> {
    if !terms.algorithms.contains(&assertion.header().algorithm) {
        return Err(BearerError::Algorithm);
    }
    let verified = assertion.verify(key).map_err(|_| BearerError::Signature)?;
    let claims: Map<String, Value> = verified.claims().map_err(|_| BearerError::Claims)?;
    let base: Base = typed(&claims)?;
    if base.iss != issuer {
        return Err(BearerError::Issuer);
    }
    let usable =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
    if !usable(&base.sub, MAX_SUBJECT_BYTES) {
        return Err(BearerError::Subject);
    }
    let mut named = base.aud.iter();
    let audience = named.next().filter(|aud| audiences.contains(aud));
    let (Some(audience), None) = (audience, named.next()) else {
        return Err(BearerError::Audience);
    };
    check_kind(kind, &claims, terms)?;
    let max_lifetime = match kind {
        Kind::IdToken => MAX_ID_TOKEN_LIFETIME,
        Kind::IdJag | Kind::Workload => terms.max_lifetime(),
    };
    check_time(&base, max_lifetime, now)?;
    let counted = kind == Kind::IdJag || terms.single_use;
    match &base.jti {
        Some(jti) if !usable(jti, MAX_JTI_BYTES) => return Err(BearerError::Jti),
        None if counted => return Err(BearerError::Jti),
        _ => {}
    }
    if kind != Kind::Workload && base.iat.is_none() {
        return Err(BearerError::Claims);
    }
    let person = match kind {
        Kind::IdJag => Some(typed(&claims)?),
        Kind::IdToken => Some(typed::<Identity>(&claims)?.of_client(audience)?),
        Kind::Workload => None,
    };
    let signed_in = person.as_ref().and_then(|person| person.auth_time);
    if signed_in.is_some_and(|signed_in| signed_in > now + MAX_SKEW) {
        return Err(BearerError::SignInFromTheFuture);
    }
    Ok(Assertion {
        issuer: base.iss,
        subject: base.sub,
        jti: base.jti,
        issued_at: base.iat,
        expires_at: base.exp,
        key_thumbprint: base.cnf.map(|cnf| cnf.jkt),
        person,
        claims,
    })
}

fn typed<T: DeserializeOwned>(claims: &Map<String, Value>) -> Result<T, BearerError> {
    json::from_value(Value::Object(claims.clone())).map_err(|_| BearerError::Claims)
}

fn check_time(base: &Base, max_lifetime: Duration, now: UnixSeconds) -> Result<(), BearerError> {
    let begun_long_ago = base.iat.is_some_and(|iat| iat + max_lifetime + MAX_SKEW < now);
    if now >= base.exp || begun_long_ago {
        return Err(BearerError::Stale);
    }
    if base.exp > now + max_lifetime + MAX_SKEW {
        return Err(BearerError::TooLong);
    }
    let latest = now + MAX_SKEW;
    if base.iat.is_some_and(|iat| iat > latest) || base.nbf.is_some_and(|nbf| nbf > latest) {
        return Err(BearerError::FromTheFuture);
    }
    Ok(())
}
