//! The guard itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::{Clock, Outage};

use crate::audit::AuditHook;
use crate::builder::GuardBuilder;
use crate::claims::Claims;
use crate::client::OAuthClient;
use crate::dpop::Dpop;
use crate::layer::GuardLayer;
use crate::metadata::{Metadata, MetadataService, ROOT_PATH};
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::refusal::ErrorIds;
use crate::revocation::Revocations;
use crate::sessions::Sessions;
use crate::terms::Terms;
use crate::verify::{Verifier, VerifyError};

/// Stands in front of an MCP server and lets only requests with a good access token through. Cheap to clone; clones
/// share keys and sessions.
#[derive(Clone)]
pub struct Guard(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: OAuthClient,
    /// Of the further issuers, in their order.
    pub(crate) more_clients: Vec<OAuthClient>,
    pub(crate) verifier: Verifier,
    pub(crate) metadata: Metadata,
    pub(crate) root_metadata: bool,
    pub(crate) origins: Origins,
    pub(crate) dpop: Dpop,
    pub(crate) max_body: usize,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) error_ids: ErrorIds,
    /// Requests about which nobody could decide, as the log knows of them.
    pub(crate) uncheckable: Outage,
    pub(crate) terms: Arc<Terms>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How far clocks may be apart.
    pub(crate) skew: Duration,
    pub(crate) revocations: Revocations,
    pub(crate) audit: Option<Arc<dyn AuditHook>>,
    pub(crate) metrics: Metrics,
    /// Whether open event streams end with their token.
    pub(crate) end_streams: bool,
}

impl Guard {
    /// Begins a guard for `resource`, the public URL of the MCP server, that accepts tokens of `issuer`. Both are
    /// compared byte for byte with what the authorization server writes into tokens.
    pub fn builder(issuer: impl Into<String>, resource: impl Into<String>) -> GuardBuilder {
        GuardBuilder::new(issuer.into(), resource.into())
    }

    /// A tower layer that puts the guard before any HTTP service. The metadata must be served besides, outside the
    /// layer: see [`metadata_service`](Self::metadata_service).
    pub fn layer(&self) -> GuardLayer {
        self.start();
        GuardLayer::new(self.clone())
    }

    /// The service for [`metadata_paths`](Self::metadata_paths).
    pub fn metadata_service(&self) -> MetadataService {
        MetadataService::new(&self.0.metadata)
    }

    /// The paths at which the resource metadata must be served (RFC 9728 §3.1): the one with the resource's path
    /// inserted, the same without a slash at its end, and, unless turned off, the one at the root.
    pub fn metadata_paths(&self) -> Vec<&str> {
        let inserted = self.0.metadata.path.as_str();
        let without_slash = inserted.strip_suffix('/');
        let root = Some(ROOT_PATH)
            .filter(|root| self.0.root_metadata && inserted != *root && without_slash != Some(*root));
        [Some(inserted), without_slash, root]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Begins to fetch the issuer's keys, and to follow its revocations, in the background. Happens by itself when the guard is put to work inside a
    /// tokio runtime, or with the first request.
    pub fn start(&self) {
        self.0.verifier.start();
        self.0.revocations.start();
    }

    /// Verifies a bearer token by itself, for servers that are not tower services. Scopes are not looked at, and a token
    /// that is bound to a key is refused.
    ///
    /// # Errors
    /// [`VerifyError::Rejected`] for a bad token, [`VerifyError::KeysUnavailable`] when that cannot be told.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let guard = &self.0;
        let claims = guard.verifier.verify(token).await?;
        guard.dpop.check_bearer(&claims)?;
        guard.check_revocation(&claims, token).await?;
        Ok(claims.under(&guard.terms))
    }

    /// The same, if nobody has to be asked or waited for: the keys are there, and so is what is known of revocations. Needs no
    /// tokio runtime. `None` says nothing about the token; [`verify`](Self::verify) does.
    pub fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        let guard = &self.0;
        let claims = match guard.verifier.verify_at_once(token)? {
            Ok(claims) => claims,
            Err(error) => return Some(Err(error)),
        };
        if let Err(rejection) = guard.dpop.check_bearer(&claims) {
            return Some(Err(rejection.into()));
        }
        let passes = guard.revocations.surely_passes(&claims);
        passes.then(|| Ok(claims.under(&guard.terms)))
    }

    /// Forgets that this token was verified: the next request with it is checked from the beginning.
    pub fn evict(&self, token: &str) {
        self.0.verifier.evict(token);
    }

    /// Forgets that tokens of this grant (`gid`) were verified.
    pub fn forget_grant(&self, grant_id: &str) {
        self.0.verifier.forget_grant(grant_id);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("issuers", &self.0.verifier.issuers)
            .field("resource", &self.0.verifier.resource)
            .finish_non_exhaustive()
    }
}
