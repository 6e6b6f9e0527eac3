//! From settings to a guard.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use doorward_oauth::resource::{ResourceRules, ResourceUri};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::Outage;

use super::{BuildError, GuardBuilder};
use crate::challenge::Challenges;
use crate::fetch::may_be_named;
use crate::guard::{Guard, Inner};
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::origin::{self, Origins};
use crate::refusal::ErrorIds;
use crate::revocation::Revocations;
use crate::sessions::Sessions;
use crate::terms::Terms;
use crate::verify::{Judge, MAX_SKEW, Verifier};

impl GuardBuilder {
    /// Checks the settings and makes the guard. Does no I/O: the keys are fetched in the background, when they are
    /// first needed or the guard is put to work inside a tokio runtime.
    ///
    /// # Errors
    /// A [`BuildError`] that says which setting to change.
    pub fn build(self) -> Result<Guard, BuildError> {
        let (issuer, issuers) = self.issuers()?;
        let resource = resource_uri(&self.resource)?;
        self.check_values()?;
        if self.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        if self.skew > MAX_SKEW {
            return Err(BuildError::ClockSkew);
        }
        let mut required = scope_set(&self.required_scopes)?;
        for verifier in &self.trust.verifiers {
            required.extend(verifier.required_scopes());
        }
        let supported = if self.scopes.is_empty() {
            required.clone()
        } else {
            scope_set(&self.scopes)?
        };
        let origins = normal_origins(&self.origins)?;
        let fetch = self.transport(&issuers)?;
        // Only to tell processes and refusals apart.
        let seed = RandomState::new().hash_one(&self.resource);
        let judge = self.judge(&issuers, &resource, &fetch, seed);
        let more_clients = self.more_clients(&issuers, &fetch)?;
        let metadata_url = match self.metadata_url {
            Some(url) if may_be_named(&url, true) => url,
            Some(url) => return Err(BuildError::MetadataUrl(url)),
            None => resource.metadata_url(),
        };
        let challenges = Challenges::new(metadata_url, &supported, &required, &self.dpop);
        let terms = Arc::new(Terms {
            challenges,
            scopes: self.scope_settings.build(required)?,
            login: self.login,
        });
        let client = self.client.build(issuer, fetch.clone(), self.clock.clone())?;
        let all_clients: Vec<_> = std::iter::once(&client).chain(&more_clients).cloned().collect();
        let metadata = Metadata::new(
            &issuers,
            &resource,
            &supported,
            self.resource_name,
            self.documentation,
            &self.dpop,
        );
        let revocations = Revocations::new(self.revocation, &all_clients, &self.clock, seed)?;
        if let Judge::Issuers(verifier) = &judge {
            for trusted in &verifier.issuers {
                revocations.watch_keys(trusted.issuer.as_str(), &trusted.keys);
            }
        }
        Ok(Guard(Arc::new(Inner {
            client,
            more_clients,
            metadata,
            root_metadata: self.root_metadata,
            origins: Origins::new(resource.origin(), origins),
            dpop: self.dpop.build(&resource)?,
            max_body: self.max_body,
            sessions: self
                .bind_sessions
                .then(|| Sessions::new(self.max_sessions, self.session_idle)),
            error_ids: ErrorIds::new(seed),
            uncheckable: Outage::default(),
            terms,
            clock: self.clock.clone(),
            skew: self.skew,
            revocations,
            audit: self.audit,
            metrics: Metrics::default(),
            end_streams: self.end_streams,
            verifier: Verifier {
                issuers,
                resource,
                judge,
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

fn resource_uri(resource: &str) -> Result<ResourceUri, BuildError> {
    let rules = ResourceRules {
        query: true,
        ..ResourceRules::default()
    };
    let parsed = ResourceUri::parse_with(resource, rules).map_err(|reason| BuildError::Resource {
        resource: resource.to_owned(),
        reason,
    })?;
    // Routers take such segments for patterns.
    let unroutable = |segment: &str| segment.starts_with([':', '*']) || segment.contains(['{', '}']);
    if parsed.path().split('/').any(unroutable) {
        return Err(BuildError::ResourcePath(resource.to_owned()));
    }
    Ok(parsed)
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
