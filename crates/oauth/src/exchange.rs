//! Token exchange (RFC 8693): may this client have that token for this one, and what does it hold?
//!
//! One pure decision, so that the token endpoint, the operator who asks why, and the test that tries ten thousand
//! sequences all get the same answer. The result only ever shrinks: no scope, no later end and no other subject than
//! the subject token has; another audience only where its operator names the client.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::claims::{AccessTokenClaims, Actor};
use crate::error::{ErrorCode, OAuthError};
use crate::scope::{OFFLINE_ACCESS, ScopeSet};
use crate::time::UnixSeconds;

/// `urn:ietf:params:oauth:token-type:access_token` (RFC 8693 §3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// `urn:ietf:params:oauth:token-type:jwt` (RFC 8693 §3).
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
/// `urn:ietf:params:oauth:token-type:refresh_token` (RFC 8693 §3).
pub const REFRESH_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:refresh_token";
/// `urn:ietf:params:oauth:token-type:id_token` (RFC 8693 §3).
pub const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// The claim that names the token from which this one was exchanged, by its `jti`.
pub const PARENT_CLAIM: &str = "parent_jti";
/// The claim that names who may act for the subject (RFC 8693 §4.4).
pub const MAY_ACT_CLAIM: &str = "may_act";

/// The client that asks, as it authenticated itself.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// `client_id`.
    pub client_id: &'a str,
    /// Whether it can authenticate at all.
    pub is_confidential: bool,
    /// The resource that this client *is*, as registered.
    pub resource: Option<&'a str>,
    /// The key that it proved to have (RFC 9449), by its thumbprint.
    pub key_thumbprint: Option<&'a str>,
}

/// The resource that the new token is to be for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// As registered.
    pub resource: &'a str,
    /// The scopes that it has.
    pub scopes: &'a ScopeSet,
    /// The clients that may get tokens for it in exchange for tokens for others, by `client_id`.
    pub exchange_clients: &'a [String],
    /// Whether its tokens have to be bound to a key.
    pub must_be_bound: bool,
}

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeRules {
    /// Actors in a chain at most.
    pub max_depth: usize,
    /// How long the new token may be good.
    pub lifetime: Duration,
}

/// What the new token holds. Its subject and its grant are those of the subject token.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    /// `aud`.
    pub resource: String,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `exp`.
    pub expires_at: UnixSeconds,
    /// `act`: the caller, and below it whoever acted before.
    pub actor: Actor,
    /// `cnf.jkt`.
    pub key_thumbprint: Option<String>,
}

/// The rule that stops an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller cannot authenticate.
    #[error("Token exchange is for clients that authenticate; register this one with a secret or keys.")]
    PublicClient,
    /// The subject token has ended.
    #[error("The subject_token has expired; get a new one.")]
    Expired,
    /// `may_act` names somebody else.
    #[error("The subject_token says who may act for its subject (may_act), and that is not this client.")]
    NotTheActor,
    /// The new audience does not name the caller.
    #[error(
        "This client may not get tokens for this resource by exchange; an operator adds its client_id to the resource's exchange_clients."
    )]
    TargetNotAllowed,
    /// The token was made neither for the caller nor by it.
    #[error("The subject_token was not made for this client: it is neither its client nor its audience.")]
    NotEntitled,
    /// The chain of actors is full.
    #[error("Too many clients act for one another already; exchange a token earlier in the chain.")]
    ChainTooLong,
    /// The subject token is bound to a key that was not proven.
    #[error("The subject_token is bound to a key; send a DPoP proof made with that key.")]
    WrongKey,
    /// The target demands a recent sign-in (RFC 9470).
    #[error(
        "The resource demands a recent sign-in, and the person of the subject_token signed in too long ago; have them sign in again and exchange the token that they get then."
    )]
    SignInTooOld,
    /// The target wants bound tokens.
    #[error("The resource takes tokens that are bound to a key; send a DPoP proof.")]
    KeyNeeded,
    /// More was asked for than the subject token has.
    #[error("An exchange cannot add scopes; ask for scopes that the subject_token has.")]
    ScopeNotHeld,
    /// Nothing of what the subject token allows exists at the target.
    #[error("The resource has none of the scopes that the subject_token has.")]
    NoScopeLeft,
    /// Nobody signed in here for the subject token: it is a client's own, or another issuer vouched for the person.
    #[error("An ID-JAG speaks of people who signed in here, and nobody did for the subject_token.")]
    NotSignedInHere,
    /// No rule of the other server's terms is for this client and this resource.
    #[error(
        "This client may not get ID-JAGs for this resource of this audience; an operator adds a rule to the assertion audience."
    )]
    AudienceNotAllowed,
    /// Several resources of the other server are allowed.
    #[error("This client may use several resources of this audience; name one by resource.")]
    ResourceNeeded,
    /// No rule allows anything of what was asked for.
    #[error(
        "No rule allows this client any of these scopes at this audience; ask its operator for one that does."
    )]
    NoScopeAllowed,
    /// Several rules allow more than a token can carry.
    #[error("The scopes that the rules allow are too many or too long for one token; ask for fewer.")]
    TooManyScopes,
}

impl Refusal {
    /// A word for the rule, for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicClient => "public_client",
            Self::Expired => "expired",
            Self::NotTheActor => "may_act",
            Self::TargetNotAllowed => "target_not_allowed",
            Self::NotEntitled => "not_entitled",
            Self::ChainTooLong => "chain_too_long",
            Self::SignInTooOld => "sign_in_too_old",
            Self::WrongKey => "wrong_key",
            Self::KeyNeeded => "key_needed",
            Self::ScopeNotHeld => "scope_not_held",
            Self::NoScopeLeft => "no_scope_left",
            Self::NotSignedInHere => "not_signed_in_here",
            Self::AudienceNotAllowed => "audience_not_allowed",
            Self::ResourceNeeded => "resource_needed",
            Self::NoScopeAllowed => "no_scope_allowed",
            Self::TooManyScopes => "too_many_scopes",
        }
    }

    /// What the client is told (RFC 8693 §2.2.2).
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::PublicClient => ErrorCode::UnauthorizedClient,
            Self::Expired
            | Self::NotTheActor
            | Self::NotEntitled
            | Self::ChainTooLong
            | Self::NotSignedInHere
            | Self::SignInTooOld => ErrorCode::InvalidRequest,
            Self::TargetNotAllowed | Self::AudienceNotAllowed | Self::ResourceNeeded => {
                ErrorCode::InvalidTarget
            }
            Self::WrongKey | Self::KeyNeeded => ErrorCode::InvalidDpopProof,
            Self::ScopeNotHeld | Self::NoScopeLeft | Self::NoScopeAllowed | Self::TooManyScopes => {
                ErrorCode::InvalidScope
            }
        }
    }
}

impl From<Refusal> for OAuthError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}

impl ExchangeRules {
    /// Whether `caller` gets a token for `target` in exchange for `subject`, a live access token of this server. `held`:
    /// what of its scopes still exists. `requested`: the `scope` parameter.
    ///
    /// # Errors
    /// The first rule that stops it.
    pub fn decide(
        &self,
        subject: &AccessTokenClaims,
        held: &ScopeSet,
        caller: &Caller<'_>,
        target: &Target<'_>,
        requested: Option<&ScopeSet>,
        now: UnixSeconds,
    ) -> Result<Exchanged, Refusal> {
        if !caller.is_confidential {
            return Err(Refusal::PublicClient);
        }
        if now >= subject.exp {
            return Err(Refusal::Expired);
        }
        check_entitled(subject, caller, target)?;
        if !may_act(&subject.extra, &subject.iss, caller.client_id) {
            return Err(Refusal::NotTheActor);
        }
        let key_thumbprint = check_key(subject, caller, target)?;
        if depth(subject.act.as_ref()) >= self.max_depth {
            return Err(Refusal::ChainTooLong);
        }
        Ok(Exchanged {
            resource: target.resource.to_owned(),
            scopes: narrow(held, target, requested)?,
            expires_at: subject.exp.min(now + self.lifetime),
            actor: Actor {
                sub: caller.client_id.to_owned(),
                iss: None,
                client_id: None,
                act: subject.act.clone().map(Box::new),
                extra: Map::new(),
            },
            key_thumbprint,
        })
    }
}

/// For the audience that the token has: its own client, or the resource itself. For another audience: whom that
/// resource names.
fn check_entitled(
    subject: &AccessTokenClaims,
    caller: &Caller<'_>,
    target: &Target<'_>,
) -> Result<(), Refusal> {
    let named = target
        .exchange_clients
        .iter()
        .any(|client_id| client_id == caller.client_id);
    if named {
        return Ok(());
    }
    if !subject.aud.contains(target.resource) {
        return Err(Refusal::TargetNotAllowed);
    }
    let is_audience = caller
        .resource
        .is_some_and(|resource| subject.aud.contains(resource));
    if is_audience || subject.client_id == caller.client_id {
        Ok(())
    } else {
        Err(Refusal::NotEntitled)
    }
}

/// RFC 8693 §4.4. A `may_act` that is there and cannot be read names nobody.
pub(crate) fn may_act(claims: &Map<String, Value>, issuer: &str, client_id: &str) -> bool {
    let Some(may_act) = claims.get(MAY_ACT_CLAIM) else {
        return true;
    };
    let Some(may_act) = may_act.as_object() else {
        return false;
    };
    let names = |member: &str| may_act.get(member).map(|value| value.as_str() == Some(client_id));
    let is_ours = may_act
        .get("iss")
        .is_none_or(|named| named.as_str() == Some(issuer));
    is_ours && names("client_id").or_else(|| names("sub")).unwrap_or(false)
}

/// The key of the new token: the one that was proven, which is the subject token's where that one has one.
fn check_key(
    subject: &AccessTokenClaims,
    caller: &Caller<'_>,
    target: &Target<'_>,
) -> Result<Option<String>, Refusal> {
    let bound = subject.cnf.as_ref().map(|cnf| cnf.jkt.as_str());
    if bound.is_some() && bound != caller.key_thumbprint {
        return Err(Refusal::WrongKey);
    }
    if target.must_be_bound && caller.key_thumbprint.is_none() {
        return Err(Refusal::KeyNeeded);
    }
    Ok(caller.key_thumbprint.map(str::to_owned))
}

/// How many actors a chain has.
pub fn depth(mut actor: Option<&Actor>) -> usize {
    let mut depth = 0;
    while let Some(next) = actor {
        depth += 1;
        actor = next.act.as_deref();
    }
    depth
}

/// What was asked for, or everything that the subject token holds; of it, what the target has. `offline_access` goes:
/// nothing can be refreshed.
fn narrow(held: &ScopeSet, target: &Target<'_>, requested: Option<&ScopeSet>) -> Result<ScopeSet, Refusal> {
    let without_refresh = |scopes: &ScopeSet| -> ScopeSet {
        let scopes = scopes.iter().filter(|scope| scope.as_str() != OFFLINE_ACCESS);
        scopes.cloned().collect()
    };
    let held = without_refresh(held);
    let requested = requested.map(without_refresh);
    if requested
        .as_ref()
        .is_some_and(|scopes| !held.contains_all(scopes))
    {
        return Err(Refusal::ScopeNotHeld);
    }
    let wanted = requested.unwrap_or(held);
    let scopes = wanted.intersection(target.scopes);
    if scopes.is_empty() && !(wanted.is_empty() && target.scopes.is_empty()) {
        return Err(Refusal::NoScopeLeft);
    }
    Ok(scopes)
}
