use std::collections::BTreeMap;
use std::time::Duration;

use doorward_jose::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Pattern;
use crate::scope::{OFFLINE_ACCESS, ScopeSet};

/// In [`Rule::client_ids`]: any client.
pub const ANY_CLIENT: &str = "*";

/// On what terms an issuer is trusted. Without rules nothing is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Where its keys are.
    pub keys: KeySource,
    /// Signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The `aud` values that mean this server, instead of its own names.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The `tenant` of its assertions about people, where the issuer has several; `None`: they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Seconds that an assertion may be good for.
    pub max_lifetime: u32,
    /// Whether each assertion counts once; else the same client may show it again until it ends.
    #[serde(default)]
    pub single_use: bool,
    /// Whether clients that cannot authenticate may show ID-JAGs.
    #[serde(default)]
    pub public_clients: bool,
    /// Whether a person who is not known yet is added.
    #[serde(default)]
    pub provision: bool,
    /// Clients that may exchange the issuer's ID tokens (RFC 8693), by their `client_id` here, each with the one that it
    /// has at the issuer; nobody else may.
    #[serde(default)]
    pub id_token_clients: BTreeMap<String, String>,
    /// What is allowed; what several rules allow adds up.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// At the `jwks_uri` of its metadata (OpenID Connect Discovery §4).
    Discovery,
    /// At this URL.
    JwksUri(String),
    /// Here: a key set (RFC 7517 §5).
    Jwks(Value),
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// For logs.
    pub name: String,
    /// Clients that may show the assertion; [`ANY_CLIENT`] for any. Not looked at for workloads.
    #[serde(default)]
    pub client_ids: Vec<String>,
    /// What the claims have to be, all of them. A name that begins with `/` is a JSON pointer (RFC 6901).
    #[serde(default)]
    pub claims: BTreeMap<String, Pattern>,
    /// The URI of the resource, as registered.
    pub resource: String,
    /// The scopes that may be had.
    pub scopes: ScopeSet,
    /// Seconds that a token may be good for, where that is less than elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<u32>,
}

/// What the rules allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The scopes of every rule that matches.
    pub scopes: ScopeSet,
    /// The shortest lifetime that one of them demands.
    pub token_lifetime: Option<Duration>,
    /// Their names.
    pub rules: Vec<String>,
}

impl Terms {
    /// How long an assertion may be good for.
    pub fn max_lifetime(&self) -> Duration {
        Duration::from_secs(self.max_lifetime.into())
    }

    /// What the rules allow for this resource with these claims; `None` when no rule matches. `client_id`: the client
    /// that shows the assertion, `None` for a workload.
    pub fn allow(
        &self,
        claims: &Map<String, Value>,
        client_id: Option<&str>,
        resource: &str,
    ) -> Option<Allowed> {
        let claims = Value::Object(claims.clone());
        let mut matching = self
            .rules
            .iter()
            .filter(|rule| rule.resource == resource && rule.is_for(client_id) && rule.matches(&claims));
        let first = matching.next()?;
        let mut allowed = Allowed {
            scopes: first.scopes.clone(),
            token_lifetime: first.lifetime(),
            rules: vec![first.name.clone()],
        };
        for rule in matching {
            allowed.scopes = allowed.scopes.union(&rule.scopes);
            allowed.token_lifetime = allowed.token_lifetime.into_iter().chain(rule.lifetime()).min();
            allowed.rules.push(rule.name.clone());
        }
        Some(allowed)
    }
}

impl Rule {
    fn is_for(&self, client_id: Option<&str>) -> bool {
        client_id.is_none_or(|client_id| {
            self.client_ids
                .iter()
                .any(|named| named == ANY_CLIENT || named == client_id)
        })
    }

    fn matches(&self, claims: &Value) -> bool {
        self.claims.iter().all(|(name, pattern)| {
            let claim = if name.starts_with('/') {
                claims.pointer(name)
            } else {
                claims.get(name)
            };
            claim.is_some_and(|claim| pattern.matches(claim))
        })
    }

    fn lifetime(&self) -> Option<Duration> {
        self.token_lifetime
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// Why no scope is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ScopeRefusal {
    /// The assertion has nothing of what was asked for.
    #[error("The assertion has none of these scopes; ask for scopes that it has.")]
    BeyondAssertion,
    /// No rule allows anything of it.
    #[error("No rule of this server allows any of these scopes; ask its operator for one that does.")]
    NothingLeft,
    /// Several rules allow more than a token can carry.
    #[error("The scopes that the rules allow are too many or too long for one token; ask for fewer.")]
    TooLarge,
}

/// The scopes of the token: what assertion and request have in common, as far as the rules allow it and the resource has
/// it. `asserted`: `None` when the issuer leaves it open; `requested`: `None` when the client does. There is nothing to
/// refresh.
///
/// # Errors
/// When nothing is left, or more than a token can carry.
pub fn narrow(
    allowed: &ScopeSet,
    asserted: Option<&ScopeSet>,
    requested: Option<&ScopeSet>,
    defined: &ScopeSet,
) -> Result<ScopeSet, ScopeRefusal> {
    let requested = requested.map(|scopes| -> ScopeSet {
        let scopes = scopes.iter().filter(|scope| scope.as_str() != OFFLINE_ACCESS);
        scopes.cloned().collect()
    });
    let wanted = match (requested, asserted) {
        (Some(requested), Some(asserted)) => {
            let common = requested.intersection(asserted);
            if common.is_empty() && !requested.is_empty() {
                return Err(ScopeRefusal::BeyondAssertion);
            }
            common
        }
        (Some(one), None) => one,
        (None, one) => one.unwrap_or(allowed).clone(),
    };
    let scopes = wanted.intersection(allowed).intersection(defined);
    if scopes.is_empty() && !(wanted.is_empty() && defined.is_empty()) {
        return Err(ScopeRefusal::NothingLeft);
    }
    scopes.check_size().map_err(|_| ScopeRefusal::TooLarge)?;
    Ok(scopes)
}
