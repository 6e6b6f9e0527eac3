//! What a client is told about how to get in (RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §7.1).

use doorward_oauth::challenge::Challenge;
use doorward_oauth::error::ErrorCode;
use doorward_oauth::scope::ScopeSet;

use crate::dpop::{DpopPolicy, DpopSettings};
use crate::login::LoginPolicy;

/// The challenges of one protected resource.
#[derive(Debug)]
pub(crate) struct Challenges {
    metadata_url: String,
    /// What a client needs for its first request.
    basic: ScopeSet,
    /// One for each scheme, without parameters that vary. Bearer comes first: some clients read the beginning alone.
    schemes: Vec<Challenge>,
    /// The one for what is wrong with a proof.
    dpop: Challenge,
}

impl Challenges {
    pub(crate) fn new(
        metadata_url: String,
        supported: &ScopeSet,
        required: &ScopeSet,
        dpop: &DpopSettings,
    ) -> Self {
        let policy = dpop.policy();
        let dpop = Challenge::dpop(dpop.algorithms());
        let schemes = match policy {
            DpopPolicy::Off => vec![Challenge::bearer()],
            DpopPolicy::Accept => vec![Challenge::bearer(), dpop.clone()],
            DpopPolicy::Require => vec![dpop.clone()],
        };
        let basic = if required.is_empty() { supported } else { required };
        Self {
            metadata_url,
            basic: basic.clone(),
            schemes,
            dpop,
        }
    }

    /// No credentials: no error either (RFC 6750 §3.1).
    pub(crate) fn bare(&self) -> Vec<String> {
        let bare = |scheme: &Challenge| self.render(scheme.clone(), &self.basic);
        self.schemes.iter().map(bare).collect()
    }

    pub(crate) fn error(&self, error: ErrorCode, description: &str) -> Vec<String> {
        self.failed(&self.schemes, error, description, &self.basic)
    }

    /// What is wrong is the proof, not the token: no other scheme would do.
    pub(crate) fn proof(&self, error: ErrorCode, description: &str) -> Vec<String> {
        self.failed(std::slice::from_ref(&self.dpop), error, description, &self.basic)
    }

    /// The whole set at once, so that one step up is enough (MCP scope challenge handling).
    pub(crate) fn insufficient_scope(&self, needed: &ScopeSet, description: &str) -> Vec<String> {
        self.failed(&self.schemes, ErrorCode::InsufficientScope, description, needed)
    }

    /// How the person has to sign in (RFC 9470 §3).
    pub(crate) fn login(&self, policy: &LoginPolicy, description: &str) -> Vec<String> {
        let error = ErrorCode::InsufficientUserAuthentication;
        let schemes: Vec<_> = self
            .schemes
            .iter()
            .cloned()
            .map(|mut scheme| {
                if let Some(max_age) = policy.max_age {
                    scheme = scheme.max_age(max_age);
                }
                if !policy.acr_values.is_empty() {
                    scheme = scheme.acr_values(policy.acr_values.iter().map(String::as_str));
                }
                scheme
            })
            .collect();
        self.failed(&schemes, error, description, &self.basic)
    }

    fn failed(
        &self,
        schemes: &[Challenge],
        error: ErrorCode,
        description: &str,
        scope: &ScopeSet,
    ) -> Vec<String> {
        let failed =
            |scheme: &Challenge| self.render(scheme.clone().error(error).description(description), scope);
        schemes.iter().map(failed).collect()
    }

    fn render(&self, challenge: Challenge, scope: &ScopeSet) -> String {
        challenge
            .resource_metadata(&self.metadata_url)
            .scope(scope)
            .to_header_value()
    }
}
