//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): an issuer that the operator trusts says who
//! somebody is. An ID-JAG (Identity Assertion Authorization Grant) speaks of a person and is shown by a client that
//! authenticates; the token of a platform speaks of a workload, which needs no client. No refresh token: whoever has an
//! assertion shows it again, or gets a new one.

mod id_jag;
mod issue;
pub(super) mod of_person;
mod person;
mod workload;

use doorward_oauth::bearer::{Allowed, Assertion, narrow};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_store::Resource;
use http::StatusCode;

pub(super) use self::id_jag::{check_recent, grant, is_shown as is_id_jag};
pub(super) use self::workload::{grant as of_workload, is_shown as is_of_workload};
use super::{requested_scope, unusable};
use crate::clients::keys::NoKey;
use crate::dpop;
use crate::http::error::TokenError;
use crate::trust::{NotTrusted, Trusted};

/// One sentence for everything that is wrong with an assertion.
const NOT_TAKEN: &str = "The assertion is not taken: its issuer has to be trusted here, its signature and times valid, its aud this server alone, its subject allowed. Get a new one; the operator finds the reason in the log.";

/// What is wrong with something that was signed elsewhere, as the client is told.
pub(super) fn refused(error: NotTrusted) -> TokenError {
    match error {
        NotTrusted::Store(error) => error.into(),
        NotTrusted::Terms(_) => TokenError::internal(error),
        // Nothing is wrong with the assertion: a client must not throw it away.
        NotTrusted::Key(NoKey::Unreachable | NoKey::Busy | NoKey::TooMany) => TokenError::with_status(
            StatusCode::SERVICE_UNAVAILABLE,
            OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "The keys of the assertion's issuer cannot be had at the moment; try again in a moment.",
            )
            .with_internal(error),
        ),
        error => unusable(NOT_TAKEN, error),
    }
}

/// An assertion that is bound to a key is of use to nobody else.
pub(super) fn check_key(assertion: &Assertion, proven: Option<&str>) -> Result<(), TokenError> {
    match &assertion.key_thumbprint {
        Some(bound) if proven != Some(bound) => Err(dpop::invalid(
            "The assertion is bound to a key; send a DPoP proof made with that key.",
        )),
        _ => Ok(()),
    }
}

/// Denied by default.
pub(super) fn allowed(
    trusted: &Trusted,
    client_id: Option<&str>,
    resource: &Resource,
) -> Result<Allowed, TokenError> {
    trusted
        .terms
        .allow(&trusted.assertion.claims, client_id, &resource.uri)
        .ok_or_else(|| {
            let why = format!("no rule of the issuer {} matches", trusted.issuer.slug);
            unusable(NOT_TAKEN, why)
        })
}

pub(super) fn scopes(
    allowed: &Allowed,
    asserted: Option<&ScopeSet>,
    parameters: &Parameters,
    resource: &Resource,
) -> Result<ScopeSet, TokenError> {
    let requested = requested_scope(parameters)?;
    let defined: ScopeSet = resource
        .scopes
        .iter()
        .filter_map(|scope| Scope::parse(&scope.name).ok())
        .collect();
    narrow(&allowed.scopes, asserted, requested.as_ref(), &defined)
        .map_err(|refusal| OAuthError::new(ErrorCode::InvalidScope, refusal.to_string()).into())
}
