//! The settings for scopes.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;

use super::{Hierarchy, Implied, ScopePolicy, UriPattern};
use crate::builder::{BuildError, GuardBuilder, scope_set};

type Named = Vec<(String, Vec<String>)>;

/// What the builder was told.
#[derive(Default)]
pub(crate) struct ScopeSettings {
    tools: Named,
    prompts: Named,
    resources: Named,
    implied: Named,
    hook: Option<Arc<Implied>>,
    hide_unavailable: bool,
}

impl ScopeSettings {
    pub(crate) fn build(self, required: ScopeSet) -> Result<ScopePolicy, BuildError> {
        let mut resources = Vec::new();
        for (pattern, scopes) in &self.resources {
            let parsed =
                UriPattern::parse(pattern).ok_or_else(|| BuildError::ResourcePattern(pattern.clone()))?;
            resources.push((parsed, some_scopes("resource_scopes", pattern, scopes)?));
        }
        Ok(ScopePolicy {
            required,
            tools: by_name("tool_scopes", &self.tools)?,
            prompts: by_name("prompt_scopes", &self.prompts)?,
            resources,
            hierarchy: Hierarchy {
                table: by_name("implies", &self.implied)?,
                hook: self.hook,
            },
            hide_unavailable: self.hide_unavailable,
        })
    }
}

/// Repeated entries for one name add up.
fn by_name(setting: &'static str, entries: &Named) -> Result<BTreeMap<String, ScopeSet>, BuildError> {
    let mut names: BTreeMap<String, ScopeSet> = BTreeMap::new();
    for (name, scopes) in entries {
        let scopes = some_scopes(setting, name, scopes)?;
        names.entry(name.clone()).or_default().extend(scopes);
    }
    Ok(names)
}

/// At least one.
fn some_scopes(setting: &'static str, name: &str, scopes: &[String]) -> Result<ScopeSet, BuildError> {
    if scopes.is_empty() {
        let name = name.to_owned();
        return Err(BuildError::NoScopes { setting, name });
    }
    scope_set(scopes)
}

fn entry<S: Into<String>>(
    name: impl Into<String>,
    scopes: impl IntoIterator<Item = S>,
) -> (String, Vec<String>) {
    (name.into(), scopes.into_iter().map(Into::into).collect())
}

impl GuardBuilder {
    /// The scopes that a tool needs besides. A call without them is answered with HTTP `403` and the whole scope
    /// set before the tool runs. Repeated calls for one tool add up.
    #[must_use]
    pub fn tool_scopes<S: Into<String>>(
        mut self,
        tool: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scope_settings.tools.push(entry(tool, scopes));
        self
    }

    /// The scopes that a prompt needs besides, to be got (`prompts/get`) and to be completed (`completion/complete`).
    /// Repeated calls for one prompt add up.
    #[must_use]
    pub fn prompt_scopes<S: Into<String>>(
        mut self,
        prompt: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scope_settings.prompts.push(entry(prompt, scopes));
        self
    }

    /// The scopes that resources need besides, to be read, subscribed to and completed. `pattern` is a URI or a URI
    /// template: `{name}` stands for anything without a slash, `{name*}` and `{+name}` for anything, `{?name}` for a query.
    ///
    /// The scopes of all patterns that match add up. Other spellings of a URI (letter case, escapes, slashes, a query at the
    /// end) are matched as well, because the server may take them for the same. A URI with a dot segment, plain or escaped,
    /// matches every pattern of its scheme.
    #[must_use]
    pub fn resource_scopes<S: Into<String>>(
        mut self,
        pattern: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scope_settings.resources.push(entry(pattern, scopes));
        self
    }

    /// Says that whoever was granted `scope` has these as well: `.implies("admin", ["write"])`. Follows on: what `write`
    /// implies, `admin` implies. Challenges name the scopes that are needed, never those that would contain them.
    #[must_use]
    pub fn implies<S: Into<String>>(
        mut self,
        scope: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scope_settings.implied.push(entry(scope, scopes));
        self
    }

    /// A rule of one's own for what granted scopes imply, beside [`implies`](Self::implies). It is called for every
    /// request, so it should be quick.
    #[must_use]
    pub fn scope_hierarchy(
        mut self,
        implied: impl Fn(&ScopeSet) -> ScopeSet + Send + Sync + 'static,
    ) -> Self {
        self.scope_settings.hook = Some(Arc::new(implied));
        self
    }

    /// Whether lists of tools, prompts, resources and templates leave out what the token has no scope for. Clients then
    /// cannot ask for more scopes by trying, so it suits servers whose users never get them. Default: `false`.
    ///
    /// A list answer that is too large to be read (see [`max_body`](Self::max_body)) or compressed is not let through.
    #[must_use]
    pub fn hide_unavailable(mut self, hide: bool) -> Self {
        self.scope_settings.hide_unavailable = hide;
        self
    }
}
