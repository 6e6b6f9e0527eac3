//! Scopes of what a request does not name itself.

use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;

use super::ScopePolicy;
use crate::claims::{Claims, MissingScope};
use crate::guard::Guard;

/// Something that has scopes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Named<'n> {
    /// A tool by its name.
    Tool(&'n str),
    /// A prompt by its name.
    Prompt(&'n str),
    /// A resource by its URI.
    Resource(&'n str),
}

impl Guard {
    /// Whether a token may call, get or read something that its request does not name: a tool that another tool calls. What
    /// the request itself names was checked before it reached the server.
    ///
    /// # Errors
    /// [`MissingScope`] with everything that is needed, the scopes of every request included. What becomes of it is as for
    /// [`Claims::require_scope`].
    pub fn check_scopes(&self, claims: &Claims, named: Named<'_>) -> Result<(), MissingScope> {
        let terms = &self.0.terms;
        let checked = terms.scopes.check_named(&claims.scopes, named);
        checked.map_err(|needed| MissingScope::new(needed, Some(Arc::clone(terms))))
    }
}

impl ScopePolicy {
    fn check_named(&self, granted: &ScopeSet, named: Named<'_>) -> Result<(), ScopeSet> {
        let own: Vec<&ScopeSet> = match named {
            Named::Tool(name) => self.tools.get(name).into_iter().collect(),
            Named::Prompt(name) => self.prompts.get(name).into_iter().collect(),
            Named::Resource(uri) => self.of_resource(uri).collect(),
        };
        let granted = self.hierarchy.all(granted);
        if own.iter().all(|scopes| granted.contains_all(scopes)) {
            return Ok(());
        }
        let mut needed = self.required.clone();
        needed.extend(own.into_iter().flatten().cloned());
        Err(needed)
    }
}
