//! The resources of one request or grant: usually one, and with RFC 8707 several.

use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::scope::{OFFLINE_ACCESS, ScopeSet};
use doorward_store::{Grant, RefreshPolicy, Resource};

use super::means;

/// Resources, at least one, none of them twice. What their policies demand together is the strictest of each.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    first: Arc<Resource>,
    others: Vec<Arc<Resource>>,
}

impl Targets {
    /// This resource alone.
    pub(crate) fn one(resource: Arc<Resource>) -> Self {
        Self {
            first: resource,
            others: Vec::new(),
        }
    }

    /// These resources; `None` when there are none.
    pub(crate) fn new(resources: Vec<Arc<Resource>>) -> Option<Self> {
        let mut resources = resources.into_iter();
        let first = resources.next()?;
        let mut others: Vec<Arc<Resource>> = Vec::new();
        for resource in resources {
            let known = resource.uri == first.uri || others.iter().any(|other| other.uri == resource.uri);
            if !known {
                others.push(resource);
            }
        }
        Some(Self { first, others })
    }

    /// The resources of a grant, of all that there are; `None` when one of them is gone.
    pub(crate) fn of_grant(resources: &[Arc<Resource>], grant: &Grant) -> Option<Self> {
        Self::named(
            resources,
            std::iter::once(&grant.resource).chain(&grant.more_resources),
        )
    }

    /// The resources with these URIs, byte for byte; `None` when one of them is gone.
    pub(super) fn named<'u>(
        resources: &[Arc<Resource>],
        uris: impl Iterator<Item = &'u String>,
    ) -> Option<Self> {
        let found: Option<Vec<Arc<Resource>>> = uris
            .map(|uri| resources.iter().find(|resource| resource.uri == *uri).cloned())
            .collect();
        found.and_then(Self::new)
    }

    /// The first one.
    pub(crate) fn first(&self) -> &Resource {
        &self.first
    }

    /// Every one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.shared().map(Arc::as_ref)
    }

    fn shared(&self) -> impl Iterator<Item = &Arc<Resource>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their URIs, as registered.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.iter().map(|resource| resource.uri.clone()).collect()
    }

    /// The URIs of all but the first.
    pub(crate) fn more_uris(&self) -> Vec<String> {
        self.others.iter().map(|resource| resource.uri.clone()).collect()
    }

    /// One resource that has the scopes of all: for what is about scopes only. Of two scopes with one name, the first
    /// resource's words count.
    pub(crate) fn merged(&self) -> Resource {
        let mut merged = Resource::clone(&self.first);
        for scope in self.others.iter().flat_map(|resource| &resource.scopes) {
            if merged.scopes.iter().all(|known| known.name != scope.name) {
                merged.scopes.push(scope.clone());
            }
        }
        merged
    }

    /// Of these scopes, those that one of the resources has. `offline_access` stays.
    pub(crate) fn still_defined(&self, scopes: &ScopeSet) -> ScopeSet {
        let is_defined = |scope: &str| scope == OFFLINE_ACCESS || self.define(scope);
        let defined = scopes.iter().filter(|scope| is_defined(scope.as_str()));
        defined.cloned().collect()
    }

    /// Whether one of the resources has this scope.
    pub(super) fn define(&self, scope: &str) -> bool {
        self.iter()
            .any(|resource| resource.scopes.iter().any(|known| known.name == scope))
    }

    /// Those that the request names (RFC 8707 §2.2); all of them when it names none.
    pub(crate) fn narrowed(&self, requested: &[&str]) -> Result<Self, OAuthError> {
        let mut named = Vec::new();
        for requested in requested {
            let found = self.shared().find(|resource| means(resource, requested));
            named.push(found.cloned().ok_or_else(|| {
                OAuthError::new(
                    ErrorCode::InvalidTarget,
                    "The resource is not one that was authorized; start a new authorization request for it.",
                )
            })?);
        }
        let meant = Self::new(named).unwrap_or_else(|| self.clone());
        if meant.agree_on_claims() {
            return Ok(meant);
        }
        Err(OAuthError::new(
            ErrorCode::InvalidTarget,
            "The resources want different things said in their tokens, so that no token is good for all of them; send one of them as resource.",
        ))
    }

    /// Whether what the operator has said in the tokens of one is nothing else in those of another.
    fn agree_on_claims(&self) -> bool {
        if self.others.is_empty() {
            return true;
        }
        let mut said = serde_json::Map::new();
        self.iter()
            .flat_map(|resource| &resource.policy.claims)
            .all(|(name, value)| {
                said.insert(name.clone(), value.clone())
                    .is_none_or(|other| other == *value)
            })
    }

    /// How long an access token for them is good.
    pub(crate) fn access_ttl(&self, default: Duration) -> Duration {
        self.shortest(|resource| resource.policy.access_ttl, default)
    }

    /// How refresh tokens for them live.
    pub(crate) fn refresh_policy(&self, default: RefreshPolicy) -> RefreshPolicy {
        RefreshPolicy {
            idle_ttl: self.shortest(|resource| resource.policy.refresh_idle_ttl, default.idle_ttl),
            absolute_ttl: self.shortest(
                |resource| resource.policy.refresh_absolute_ttl,
                default.absolute_ttl,
            ),
            ..default
        }
    }

    /// How long ago a person may have signed in (RFC 9470), in seconds.
    pub(crate) fn max_auth_age(&self) -> Option<u32> {
        self.iter()
            .filter_map(|resource| resource.policy.max_auth_age)
            .min()
    }

    /// The shortest of what the resources say; the default where none says anything.
    fn shortest(&self, of: impl Fn(&Resource) -> Option<u32>, default: Duration) -> Duration {
        let own = self.iter().filter_map(of).min();
        own.map_or(default, |seconds| Duration::from_secs(seconds.into()))
    }
}
