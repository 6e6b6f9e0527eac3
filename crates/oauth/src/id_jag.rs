//! Identity assertions for other authorization servers (Identity Assertion Authorization Grant, ID-JAG): may this client
//! have one about this person, and what does it say?
//!
//! The other direction is in [`crate::bearer`]. As with [`crate::exchange`] the decision is pure, so that the token
//! endpoint and the operator who asks why get the same answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::bearer::{ANY_CLIENT, ID_JAG_TYP};
use crate::claims::{AccessTokenClaims, Actor, Confirmation};
use crate::exchange::{Caller, Refusal, depth, may_act};
use crate::resource::ResourceUri;
use crate::scope::{OFFLINE_ACCESS, ScopeSet};
use crate::time::UnixSeconds;

/// The `typ` of an ID-JAG.
pub const TYP: &str = ID_JAG_TYP;
/// As `requested_token_type` and `issued_token_type` (RFC 8693 §3).
pub const ID_JAG_TYPE: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// `token_type` of the answer: it is no access token (RFC 8693 §2.2.1).
pub const NOT_APPLICABLE: &str = "N_A";
/// The longest that an ID-JAG is good, in seconds.
pub const MAX_LIFETIME: u32 = 300;
/// What of the person an ID-JAG may tell besides the subject.
pub const PERSON_CLAIMS: [&str; 2] = ["email", "name"];

/// On what terms another authorization server gets ID-JAGs. Without rules nobody gets one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceTerms {
    /// Seconds that an ID-JAG is good, [`MAX_LIFETIME`] at most.
    pub lifetime: u32,
    /// Which of [`PERSON_CLAIMS`] go into it.
    #[serde(default)]
    pub person_claims: Vec<String>,
    /// What the other server calls clients, by their `client_id` here. A client that is not here has one name at both.
    #[serde(default)]
    pub client_names: BTreeMap<String, String>,
    /// What is allowed; what several rules allow adds up.
    #[serde(default)]
    pub rules: Vec<AudienceRule>,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceRule {
    /// For logs.
    pub name: String,
    /// Clients that may ask, by `client_id`; [`ANY_CLIENT`] for any.
    pub client_ids: Vec<String>,
    /// The resource of the other server, as that one has it.
    pub resource: String,
    /// Its scopes that may be asked for.
    pub scopes: ScopeSet,
}

/// What is shown for an ID-JAG: an access token or a refresh token of this server that works now.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Whether a person signed in here for it, and was not vouched for by somebody else.
    pub signed_in_here: bool,
    /// The client that it was issued to.
    pub client_id: &'a str,
    /// The claims of an access token; a refresh token is for its client alone.
    pub claims: Option<&'a AccessTokenClaims>,
    /// The key that it is bound to.
    pub key_thumbprint: Option<&'a str>,
    /// When it ends.
    pub expires_at: UnixSeconds,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The `resource` parameter.
    pub resource: Option<&'a str>,
    /// The `scope` parameter.
    pub scope: Option<&'a ScopeSet>,
}

/// What the ID-JAG holds, but for the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// `client_id`: the caller as the other server knows it.
    pub client_id: String,
    /// `resource`.
    pub resource: String,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `exp`.
    pub expires_at: UnixSeconds,
    /// `act`: who acts for the person besides the client that the person used. Absent when nobody does.
    pub actor: Option<Actor>,
    /// `cnf.jkt`.
    pub key_thumbprint: Option<String>,
    /// The names of the rules.
    pub rules: Vec<String>,
}

/// The claims of an ID-JAG.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdJagClaims {
    /// This server.
    pub iss: String,
    /// The person.
    pub sub: String,
    /// The other server, alone.
    pub aud: String,
    /// The client as the other server knows it.
    pub client_id: String,
    /// Names the assertion.
    pub jti: String,
    /// When it was made.
    pub iat: UnixSeconds,
    /// When it ends.
    pub exp: UnixSeconds,
    /// The other server's resource.
    pub resource: String,
    /// What of it; absent when nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSet>,
    /// When the person signed in.
    pub auth_time: UnixSeconds,
    /// How (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// How strongly (RFC 9470).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The person's address; proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key that whoever shows it has to prove.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Who acts for the person (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

impl AudienceTerms {
    /// Whether `caller` gets an ID-JAG for what it shows. `issuer`: this server. `max_depth`: actors in a chain at most.
    ///
    /// # Errors
    /// The first rule that stops it.
    pub fn decide(
        &self,
        shown: &Shown<'_>,
        caller: &Caller<'_>,
        wanted: Wanted<'_>,
        max_depth: usize,
        now: UnixSeconds,
    ) -> Result<Allowed, Refusal> {
        if !caller.is_confidential {
            return Err(Refusal::PublicClient);
        }
        if now >= shown.expires_at {
            return Err(Refusal::Expired);
        }
        if !shown.signed_in_here {
            return Err(Refusal::NotSignedInHere);
        }
        check_entitled(shown, caller)?;
        let (resource, mut scopes, rules) = self.allowed(caller.client_id, wanted.resource)?;
        if shown.key_thumbprint.is_some() && shown.key_thumbprint != caller.key_thumbprint {
            return Err(Refusal::WrongKey);
        }
        let actor = actor(shown, caller);
        if depth(actor.as_ref()) > max_depth {
            return Err(Refusal::ChainTooLong);
        }
        if let Some(requested) = wanted.scope {
            scopes = narrow(&scopes, requested)?;
        }
        scopes.check_size().map_err(|_| Refusal::TooManyScopes)?;
        let lifetime = Duration::from_secs(self.lifetime.min(MAX_LIFETIME).into());
        let known_as = self.client_names.get(caller.client_id).map(String::as_str);
        Ok(Allowed {
            client_id: known_as.unwrap_or(caller.client_id).to_owned(),
            resource,
            scopes,
            expires_at: shown.expires_at.min(now + lifetime),
            actor,
            key_thumbprint: caller.key_thumbprint.map(str::to_owned),
            rules,
        })
    }

    /// The resource, its scopes, and the rules that allow them.
    fn allowed(
        &self,
        client_id: &str,
        resource: Option<&str>,
    ) -> Result<(String, ScopeSet, Vec<String>), Refusal> {
        let is_for = |rule: &&AudienceRule| {
            let mut names = rule.client_ids.iter();
            names.any(|named| named == ANY_CLIENT || named == client_id)
        };
        let is_meant = |rule: &&AudienceRule| {
            resource.is_none_or(|requested| {
                rule.resource == requested
                    || ResourceUri::parse(&rule.resource).is_ok_and(|uri| uri.matches(requested))
            })
        };
        let rules: Vec<_> = self.rules.iter().filter(is_for).filter(is_meant).collect();
        let first = rules.first().ok_or(Refusal::AudienceNotAllowed)?;
        if rules.iter().any(|rule| rule.resource != first.resource) {
            return Err(Refusal::ResourceNeeded);
        }
        let scopes = rules
            .iter()
            .fold(ScopeSet::new(), |scopes, rule| scopes.union(&rule.scopes));
        let names = rules.iter().map(|rule| rule.name.clone()).collect();
        Ok((first.resource.clone(), scopes, names))
    }
}

/// The client that the token was issued to, or the resource that an access token is for: nobody else gets anything for a
/// token that was found or stolen.
fn check_entitled(shown: &Shown<'_>, caller: &Caller<'_>) -> Result<(), Refusal> {
    let is_own = shown.client_id == caller.client_id;
    let is_audience = match (shown.claims, caller.resource) {
        (Some(claims), Some(resource)) => claims.aud.contains(resource),
        _ => false,
    };
    if !is_own && !is_audience {
        return Err(Refusal::NotEntitled);
    }
    match shown.claims {
        Some(claims) if !may_act(&claims.extra, &claims.iss, caller.client_id) => Err(Refusal::NotTheActor),
        _ => Ok(()),
    }
}

/// Who acts: nobody, where the person's own client asks with a token that nobody else has had.
fn actor(shown: &Shown<'_>, caller: &Caller<'_>) -> Option<Actor> {
    let before = shown.claims.and_then(|claims| claims.act.clone());
    if before.is_none() && shown.client_id == caller.client_id {
        return None;
    }
    Some(Actor {
        sub: caller.client_id.to_owned(),
        iss: None,
        client_id: None,
        act: before.map(Box::new),
        extra: Map::new(),
    })
}

/// Of what was asked for, what the rules allow. There is nothing to refresh.
fn narrow(allowed: &ScopeSet, requested: &ScopeSet) -> Result<ScopeSet, Refusal> {
    let requested: ScopeSet = requested
        .iter()
        .filter(|scope| scope.as_str() != OFFLINE_ACCESS)
        .cloned()
        .collect();
    let scopes = requested.intersection(allowed);
    if scopes.is_empty() && !requested.is_empty() {
        return Err(Refusal::NoScopeAllowed);
    }
    Ok(scopes)
}
