//! From settings to a guard.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use doorward_oauth::issuer::{Issuer, IssuerRules};
use doorward_oauth::resource::{ResourceRules, ResourceUri};
use doorward_oauth::scope::{Scope, ScopeSet};

use super::{BuildError, GuardBuilder, MAX_SKEW};
use crate::challenge::Challenges;
use crate::fetch::HttpFetch;
use crate::guard::{Guard, Inner};
use crate::keys::{Discovery, Keys};
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::origin::{self, Origins};
use crate::refusal::ErrorIds;
use crate::revocation::Revocations;
use crate::sessions::Sessions;
use crate::terms::Terms;
use crate::token_cache::TokenCache;
use crate::verify::Verifier;

impl GuardBuilder {
    /// Checks the settings and makes the guard. Does no I/O: the keys are fetched in the background, when they are
    /// first needed or the guard is put to work inside a tokio runtime.
    ///
    /// # Errors
    /// A [`BuildError`] that says which setting to change.
    pub fn build(self) -> Result<Guard, BuildError> {
        let rules = IssuerRules {
            trailing_slash: true,
            ..IssuerRules::default()
        };
        let issuer = Issuer::parse_with(&self.issuer, rules).map_err(|reason| BuildError::Issuer {
            issuer: self.issuer.clone(),
            reason,
        })?;
        let rules = ResourceRules {
            query: true,
            ..ResourceRules::default()
        };
        let resource =
            ResourceUri::parse_with(&self.resource, rules).map_err(|reason| BuildError::Resource {
                resource: self.resource.clone(),
                reason,
            })?;
        let unroutable = |segment: &str| segment.starts_with([':', '*']) || segment.contains(['{', '}']);
        if resource.path().split('/').any(unroutable) {
            return Err(BuildError::ResourcePath(self.resource));
        }
        if self.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        if self.skew > MAX_SKEW {
            return Err(BuildError::ClockSkew);
        }
        let required = scope_set(&self.required_scopes)?;
        let supported = if self.scopes.is_empty() {
            required.clone()
        } else {
            scope_set(&self.scopes)?
        };
        let origins = normal_origins(&self.origins)?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(HttpFetch::new(&issuer, self.clock.clone())?),
        };
        // Only to tell processes and refusals apart.
        let seed = RandomState::new().hash_one(&self.resource);
        let challenges = Challenges::new(resource.metadata_url(), &supported, &required, &self.dpop);
        let terms = Arc::new(Terms {
            challenges,
            scopes: self.scope_settings.build(required)?,
            login: self.login,
        });
        let client = self.client.build(issuer.clone(), fetch.clone(), self.clock.clone())?;
        let discovery = Discovery::new(issuer.clone(), fetch);
        let metadata = Metadata::new(
            &issuer,
            &resource,
            &supported,
            self.resource_name,
            self.documentation,
            &self.dpop,
        );
        Ok(Guard(Arc::new(Inner {
            client,
            metadata,
            root_metadata: self.root_metadata,
            origins: Origins::new(resource.origin(), origins),
            dpop: self.dpop.build(&resource)?,
            max_body: self.max_body,
            sessions: self
                .bind_sessions
                .then(|| Sessions::new(self.max_sessions, self.session_idle)),
            error_ids: ErrorIds::new(seed),
            terms,
            clock: self.clock.clone(),
            skew: self.skew,
            revocations: Revocations::new(self.revocation),
            audit: self.audit,
            metrics: Metrics::default(),
            end_streams: self.end_streams,
            verifier: Verifier {
                issuer,
                resource,
                algorithms: self.algorithms,
                skew: self.skew,
                clock: self.clock.clone(),
                keys: Arc::new(Keys::new(discovery, self.keys, self.clock, seed)),
                cache: TokenCache::new(self.token_cache),
            },
        })))
    }
}

fn normal_origins(origins: &[String]) -> Result<Vec<String>, BuildError> {
    origins
        .iter()
        .map(|origin| origin::normalize(origin).ok_or_else(|| BuildError::Origin(origin.clone())))
        .collect()
}

/// The scopes that a setting names.
pub(crate) fn scope_set(scopes: &[String]) -> Result<ScopeSet, BuildError> {
    scopes
        .iter()
        .map(|scope| match Scope::parse(scope) {
            Ok(parsed) if parsed.as_str() == "offline_access" => Err(BuildError::OfflineAccess),
            Ok(parsed) => Ok(parsed),
            Err(reason) => Err(BuildError::Scope {
                scope: scope.clone(),
                reason,
            }),
        })
        .collect()
}
