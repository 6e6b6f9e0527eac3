use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope, ScopeSet};
use doorward_store::Resource;

use super::Targets;

/// Scopes that clients add by habit: those of OpenID Connect (Core §5.4), and what claude.ai and others send when they mean the
/// defaults. They ask for nothing that a resource has, so a request with only these is a request without a scope.
const HABITUAL: [&str; 7] = [
    "openid", "profile", "email", "address", "phone", "claudeai", "default",
];

/// The scopes of a request for `resource`: without `scope` the resource's defaults, otherwise what was asked for
/// and is known. `offline_access` is kept and counts as neither.
///
/// # Errors
/// `invalid_scope` when the value is malformed, when nothing of what was asked for is known, or when the defaults of several
/// resources are more than a token can carry.
pub(crate) fn select_scopes(resource: &Resource, requested: Option<&str>) -> Result<ScopeSet, OAuthError> {
    let requested = match requested {
        None => ScopeSet::new(),
        Some(value) => ScopeSet::parse(value).map_err(|_| {
            invalid_scope(
                "The scope is malformed; send scope tokens of printable ASCII separated by single spaces.",
            )
        })?,
    };
    let is_known = |scope: &Scope| resource.scopes.iter().any(|known| known.name == scope.as_str());
    let mut selected: ScopeSet = requested
        .iter()
        .filter(|scope| is_known(scope))
        .cloned()
        .collect();
    if selected.is_empty() {
        if !requested.iter().all(asks_for_nothing) {
            return Err(invalid_scope(
                "None of the requested scopes exists for this resource; see scopes_supported in its metadata.",
            ));
        }
        selected = defaults(resource);
    }
    if let Some(offline_access) = requested.iter().find(|scope| scope.as_str() == OFFLINE_ACCESS) {
        selected.insert(offline_access.clone());
    }
    selected.check_size().map_err(|_| {
        invalid_scope(
            "The scopes of these resources are too many or too long for one token; name fewer in scope.",
        )
    })?;
    Ok(selected)
}

/// The scopes of one access token that a refresh gives (RFC 6749 §6): of those that were `granted`, what is `requested` and the
/// resources of the token still have; without a request, all that they still have.
///
/// Clients repeat what they once asked for, or name all that the server's metadata has. So names are left out that cannot be a
/// wish for more: the habitual ones, those that a resource of the grant (`all`) has lost, and those of other resources here.
///
/// # Errors
/// `invalid_scope` for a scope that a resource of the grant has and that was not granted, for one that nobody here has, and when
/// nothing is left of what was asked for.
pub(crate) fn refreshed_scopes(
    granted: &ScopeSet,
    all: &Targets,
    of_token: &Targets,
    registered: &[Arc<Resource>],
    requested: Option<&ScopeSet>,
) -> Result<ScopeSet, OAuthError> {
    let live = of_token.still_defined(granted);
    let Some(requested) = requested else {
        return Ok(live);
    };
    let kept = requested.intersection(&live);
    let others = requested.difference(&live);
    let mut others = others
        .iter()
        .filter(|scope| !asks_for_nothing(scope) || all.define(scope.as_str()))
        .peekable();
    let asks_for_more = others.peek().is_some();
    let foreign: BTreeSet<&str> = others
        .map(Scope::as_str)
        .filter(|scope| !granted.contains(scope))
        .collect();
    if foreign.iter().any(|scope| all.define(scope)) || !are_defined(foreign, registered) {
        return Err(invalid_scope(
            "A refresh cannot add scopes; ask for them in a new authorization request.",
        ));
    }
    if kept.iter().any(|scope| scope.as_str() != OFFLINE_ACCESS) {
        return Ok(kept);
    }
    if asks_for_more {
        return Err(invalid_scope(
            "None of the requested scopes is left in the grant; send no scope to get those that are.",
        ));
    }
    Ok(live)
}

/// Whether each of these names is one of a scope. One look at every scope, however many names there are.
fn are_defined(mut names: BTreeSet<&str>, registered: &[Arc<Resource>]) -> bool {
    let mut scopes = registered.iter().flat_map(|resource| &resource.scopes);
    while !names.is_empty() {
        let Some(scope) = scopes.next() else {
            return false;
        };
        names.remove(scope.name.as_str());
    }
    true
}

fn asks_for_nothing(scope: &Scope) -> bool {
    scope.as_str() == OFFLINE_ACCESS || HABITUAL.contains(&scope.as_str())
}

fn defaults(resource: &Resource) -> ScopeSet {
    let defaults = resource.scopes.iter().filter(|scope| scope.default);
    defaults
        .filter_map(|scope| Scope::parse(&scope.name).ok())
        .collect()
}

fn invalid_scope(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidScope, description)
}
