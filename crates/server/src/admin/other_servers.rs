//! What the terms of trusted issuers and of assertion audiences have in common: both speak of another server.

use std::collections::BTreeMap;

use doorward_oauth::issuer::{Issuer, IssuerRules};
use doorward_oauth::scope::ScopeSet;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::AdminError;
use super::name;
use crate::context::Context;

pub(super) const MOST_RULES: usize = 100;
/// In one rule, and in one table of names.
pub(super) const MOST_CLIENTS: usize = 100;

/// Providers publish their issuer as it is, some with a slash at the end; `http` on loopback in development only.
pub(super) fn check_issuer(ctx: &Context, text: &str) -> Result<(), AdminError> {
    let rules = IssuerRules {
        trailing_slash: true,
        http_anywhere: false,
    };
    let issuer =
        Issuer::parse_with(text, rules).map_err(|error| AdminError::invalid(format!("issuer: {error}.")))?;
    if !issuer.is_https() && !ctx.issuer.is_loopback() {
        return Err(AdminError::invalid("issuer: it must begin with https://."));
    }
    if text == ctx.issuer.as_str() {
        return Err(AdminError::invalid(
            "issuer: that is this server itself; exchange its tokens instead.",
        ));
    }
    Ok(())
}

/// Checks what the other server calls the clients; `member` is what the request calls the table, `there` where the
/// other name counts.
pub(super) fn check_client_names(
    member: &str,
    names: &BTreeMap<String, String>,
    there: &str,
) -> Result<(), AdminError> {
    let usable = |(here, there): (&String, &String)| name::is_client_id(here) && name::is_client_id(there);
    if names.len() > MOST_CLIENTS || !names.iter().all(usable) {
        return Err(AdminError::invalid(format!(
            "{member} are at most {MOST_CLIENTS}, each the client_id here with the client_id {there}."
        )));
    }
    Ok(())
}

/// The scopes of a rule.
pub(super) fn rule_scope(text: &str) -> Result<ScopeSet, AdminError> {
    ScopeSet::parse(text)
        .map_err(|_| AdminError::invalid("A rule's scope must be scope tokens separated by single spaces."))
}

/// Terms as they are stored.
pub(super) fn read_terms<T: DeserializeOwned>(stored: &str) -> Result<T, AdminError> {
    serde_json::from_str(stored).map_err(|error| AdminError::Internal(error.to_string()))
}

/// Terms as they are stored.
pub(super) fn write_terms(terms: &impl Serialize) -> Result<String, AdminError> {
    serde_json::to_string(terms).map_err(|error| AdminError::Internal(error.to_string()))
}
