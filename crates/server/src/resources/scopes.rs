use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope, ScopeSet};
use doorward_store::Resource;

/// Scopes of OpenID Connect (Core §5.4) that clients add by habit. They ask for nothing that a resource has,
/// so a request with only these is a request without a scope.
const HABITUAL: [&str; 5] = ["openid", "profile", "email", "address", "phone"];

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
    let asks_for_nothing =
        |scope: &Scope| scope.as_str() == OFFLINE_ACCESS || HABITUAL.contains(&scope.as_str());

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

fn defaults(resource: &Resource) -> ScopeSet {
    let defaults = resource.scopes.iter().filter(|scope| scope.default);
    defaults
        .filter_map(|scope| Scope::parse(&scope.name).ok())
        .collect()
}

fn invalid_scope(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidScope, description)
}
