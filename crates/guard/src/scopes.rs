//! Which scopes a request needs, and whether those of a token are enough.

mod builder;
mod named;
mod uri;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;

use crate::message::Message;
pub(crate) use builder::ScopeSettings;
pub use named::Named;
use uri::{UriPattern, Variants};

/// The scopes of one protected resource.
pub(crate) struct ScopePolicy {
    /// What every request needs.
    required: ScopeSet,
    tools: BTreeMap<String, ScopeSet>,
    prompts: BTreeMap<String, ScopeSet>,
    resources: Vec<(UriPattern, ScopeSet)>,
    hierarchy: Hierarchy,
    /// Whether lists leave out what the token may not call.
    hide_unavailable: bool,
}

type Implied = dyn Fn(&ScopeSet) -> ScopeSet + Send + Sync;

/// Which scopes contain others.
#[derive(Default)]
struct Hierarchy {
    table: BTreeMap<String, ScopeSet>,
    hook: Option<Arc<Implied>>,
}

impl Hierarchy {
    fn is_flat(&self) -> bool {
        self.table.is_empty() && self.hook.is_none()
    }

    /// What was granted, with everything that it implies.
    fn all(&self, granted: &ScopeSet) -> ScopeSet {
        let mut all = granted.clone();
        if let Some(hook) = &self.hook {
            all.extend(hook(granted));
        }
        // Every scope of the table is added once, so this ends.
        let mut pending: Vec<_> = all.iter().cloned().collect();
        while let Some(scope) = pending.pop() {
            for implied in self.table.get(scope.as_str()).into_iter().flatten() {
                if all.insert(implied.clone()) {
                    pending.push(implied.clone());
                }
            }
        }
        all
    }
}

impl ScopePolicy {
    /// Everything that an operation needs, given what it needs beyond the scopes of every request.
    pub(crate) fn needed(&self, besides: &ScopeSet) -> ScopeSet {
        self.required.union(besides)
    }

    /// Whether the granted scopes, with what they imply, contain `scope`.
    pub(crate) fn has(&self, granted: &ScopeSet, scope: &str) -> bool {
        granted.contains(scope) || (!self.hierarchy.is_flat() && self.hierarchy.all(granted).contains(scope))
    }

    /// Checks all messages of a request at once; the error is everything that they need.
    pub(crate) fn check(
        &self,
        granted: &ScopeSet,
        route: &ScopeSet,
        messages: &[Message],
    ) -> Result<(), ScopeSet> {
        let granted = if self.hierarchy.is_flat() {
            Cow::Borrowed(granted)
        } else {
            Cow::Owned(self.hierarchy.all(granted))
        };
        let found = self.found(messages);
        let mut all = [&self.required, route].into_iter().chain(found.iter().copied());
        if all.all(|scopes| granted.contains_all(scopes)) {
            return Ok(());
        }
        let mut needed = self.required.union(route);
        for scopes in found {
            needed.extend(scopes.iter().cloned());
        }
        Err(needed)
    }

    /// The scopes that messages need by what they name, in that order. Those of a pattern come once, and it is not tried
    /// again, however many URIs match it.
    fn found(&self, messages: &[Message]) -> Vec<&ScopeSet> {
        let mut found = Vec::new();
        let mut patterns: Vec<_> = self.resources.iter().collect();
        for message in messages {
            found.extend(message.tool().and_then(|tool| self.tools.get(tool)));
            found.extend(message.prompts().filter_map(|prompt| self.prompts.get(prompt)));
            for uri in message.resources() {
                if patterns.is_empty() {
                    break;
                }
                let variants = Variants::of(uri);
                let matched = patterns.extract_if(.., |(pattern, _)| variants.match_any(pattern));
                found.extend(matched.map(|(_, scopes)| scopes));
            }
        }
        found
    }

    fn of_resource(&self, uri: &str) -> impl Iterator<Item = &ScopeSet> {
        let variants = Variants::of(uri);
        self.resources
            .iter()
            .filter(move |(pattern, _)| variants.match_any(pattern))
            .map(|(_, scopes)| scopes)
    }

    pub(crate) fn hides_unavailable(&self) -> bool {
        self.hide_unavailable
    }

    /// What a token with these scopes may not call, get or read.
    pub(crate) fn hidden(&self, granted: &ScopeSet) -> Hidden<'_> {
        Hidden {
            policy: self,
            granted: self.hierarchy.all(granted),
        }
    }
}

/// Decides what a list leaves out.
pub(crate) struct Hidden<'p> {
    policy: &'p ScopePolicy,
    granted: ScopeSet,
}

impl Hidden<'_> {
    pub(crate) fn tool(&self, name: &str) -> bool {
        self.lacks(self.policy.tools.get(name))
    }

    pub(crate) fn prompt(&self, name: &str) -> bool {
        self.lacks(self.policy.prompts.get(name))
    }

    /// `uri` may be a template.
    pub(crate) fn resource(&self, uri: &str) -> bool {
        self.lacks(self.policy.of_resource(uri))
    }

    fn lacks<'s>(&self, needed: impl IntoIterator<Item = &'s ScopeSet>) -> bool {
        needed
            .into_iter()
            .any(|scopes| !self.granted.contains_all(scopes))
    }
}

impl fmt::Debug for ScopePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopePolicy")
            .field("required", &self.required)
            .field("tools", &self.tools)
            .field("prompts", &self.prompts)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}
