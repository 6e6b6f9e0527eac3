//! What a client is told about how to get in (RFC 6750 §3, RFC 9728 §5.1).

use doorward_oauth::challenge::Challenge;
use doorward_oauth::error::ErrorCode;
use doorward_oauth::scope::ScopeSet;

/// The challenges of one protected resource.
#[derive(Debug)]
pub(crate) struct Challenges {
    metadata_url: String,
    /// What a client needs for its first request.
    basic: ScopeSet,
    /// What every request needs.
    required: ScopeSet,
}

impl Challenges {
    pub(crate) fn new(metadata_url: String, supported: &ScopeSet, required: &ScopeSet) -> Self {
        let basic = if required.is_empty() { supported } else { required };
        Self {
            metadata_url,
            basic: basic.clone(),
            required: required.clone(),
        }
    }

    /// Everything that an operation needs, given what it needs beyond the scopes of every request.
    pub(crate) fn needed(&self, besides: &ScopeSet) -> ScopeSet {
        self.required.union(besides)
    }

    /// No credentials: no error either (RFC 6750 §3.1).
    pub(crate) fn bare(&self) -> String {
        self.render(Challenge::bearer(), &self.basic)
    }

    pub(crate) fn error(&self, error: ErrorCode, description: &str) -> String {
        self.render(
            Challenge::bearer().error(error).description(description),
            &self.basic,
        )
    }

    /// The whole set at once, so that one step up is enough (MCP scope challenge handling).
    pub(crate) fn insufficient_scope(&self, needed: &ScopeSet, description: &str) -> String {
        self.render(
            Challenge::bearer()
                .error(ErrorCode::InsufficientScope)
                .description(description),
            needed,
        )
    }

    fn render(&self, challenge: Challenge, scope: &ScopeSet) -> String {
        challenge
            .resource_metadata(&self.metadata_url)
            .scope(scope)
            .to_header_value()
    }
}
