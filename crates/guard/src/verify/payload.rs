//! The claims that a verifier looks at, read from a payload in one pass.

use std::borrow::Cow;

use doorward_jose::json::{self, Refused, TextOrAny};
use doorward_oauth::claims::{Actor, Confirmation, numeric_date};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Rejection;
use crate::claims::TokenClaims;
use crate::raw_claims::RawClaims;

/// Which claims a verifier understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 9068: scopes are a string in `scope`.
    AccessToken,
    /// Whatever an identity provider calls an access token: scopes are a string or a list, in `scope` or `scp`, and the
    /// client may be in `azp`.
    AnyJwt,
}

/// Claims of which nothing but the type was checked: a claim of the wrong type refuses the token, nothing is coerced.
#[derive(Debug, Default)]
pub(crate) struct Payload<'p> {
    /// Absent also when it is no string: then it is nobody's.
    pub(crate) issuer: Option<Cow<'p, str>>,
    pub(crate) subject: Option<Cow<'p, str>>,
    pub(crate) client_id: Option<Cow<'p, str>>,
    pub(crate) authorized_party: Option<Cow<'p, str>>,
    pub(crate) audience: Vec<String>,
    pub(crate) scope: Option<ScopeSet>,
    pub(crate) jti: Option<Cow<'p, str>>,
    pub(crate) expires_at: Option<UnixSeconds>,
    pub(crate) issued_at: Option<UnixSeconds>,
    pub(crate) not_before: Option<UnixSeconds>,
    auth_time: Option<UnixSeconds>,
    grant_id: Option<Cow<'p, str>>,
    key_thumbprint: Option<String>,
    actor: Option<Actor>,
    /// `scp`, which counts where there is no `scope`.
    other_scope: Option<ScopeSet>,
}

impl<'p> Payload<'p> {
    pub(crate) fn read(document: &'p [u8], dialect: Dialect) -> Result<Self, Rejection> {
        let mut payload = Self::default();
        json::members(document, |name, value| {
            match name {
                "iss" => {
                    if let TextOrAny::Text(issuer) = value.text_or_any()? {
                        payload.issuer = Some(issuer);
                    }
                }
                "sub" => payload.subject = Some(value.string()?),
                "client_id" => payload.client_id = Some(value.string()?),
                "aud" => payload.audience = one_or_many(value.text_or_any()?)?,
                "scope" => payload.scope = Some(scopes(value.text_or_any()?, dialect)?),
                "jti" => payload.jti = Some(value.string()?),
                "exp" => payload.expires_at = Some(date(value.any()?)?),
                "iat" => payload.issued_at = Some(date(value.any()?)?),
                "nbf" => payload.not_before = Some(date(value.any()?)?),
                "auth_time" => payload.auth_time = Some(date(value.any()?)?),
                "gid" => payload.grant_id = Some(value.string()?),
                "cnf" => payload.key_thumbprint = Some(typed::<Confirmation>(value.any()?)?.jkt),
                "act" => payload.actor = Some(typed(value.any()?)?),
                "amr" => check_strings(&value.any()?)?,
                "azp" if dialect == Dialect::AnyJwt => payload.authorized_party = Some(value.string()?),
                "scp" if dialect == Dialect::AnyJwt => {
                    payload.other_scope = Some(scopes(value.text_or_any()?, dialect)?);
                }
                _ => value.skip()?,
            }
            Ok(())
        })
        .map_err(|_| Rejection::Claims)?;
        payload.scope = payload.scope.or(payload.other_scope.take());
        Ok(payload)
    }

    /// Whether the token counts now.
    pub(crate) fn check_times(&self, now: UnixSeconds, skew: std::time::Duration) -> Result<(), Rejection> {
        if self.expires_at.is_some_and(|end| now >= end + skew) {
            return Err(Rejection::Expired);
        }
        if self.not_before.is_some_and(|start| start > now + skew) {
            return Err(Rejection::NotYetValid);
        }
        if self.issued_at.is_some_and(|issued| issued > now + skew) {
            return Err(Rejection::IssuedInFuture);
        }
        Ok(())
    }

    /// What the guard keeps. `subject` and `client_id` are the caller's choice where claims are optional; `raw` comes
    /// besides, since it is what this was read from.
    pub(crate) fn into_claims(self, subject: String, client_id: String) -> TokenClaims {
        TokenClaims {
            subject,
            client_id,
            scopes: self.scope.unwrap_or_default(),
            audience: self.audience,
            issuer: owned(self.issuer),
            expires_at: self.expires_at.unwrap_or(TokenClaims::NEVER),
            issued_at: self.issued_at.unwrap_or_default(),
            not_before: self.not_before,
            auth_time: self.auth_time,
            jti: owned(self.jti),
            grant_id: self.grant_id.map(Cow::into_owned),
            actor: self.actor,
            // Every other confirmation method is refused (RFC 7800 §3.1).
            key_thumbprint: self.key_thumbprint,
            key_id: None,
            raw: RawClaims::default(),
        }
    }
}

pub(crate) fn owned(text: Option<Cow<'_, str>>) -> String {
    text.map(Cow::into_owned).unwrap_or_default()
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    json::from_value(value).map_err(|_| Refused)
}

fn check_strings(value: &Value) -> Result<(), Refused> {
    let list = value.as_array().ok_or(Refused)?;
    if list.iter().all(Value::is_string) {
        Ok(())
    } else {
        Err(Refused)
    }
}

fn date(value: Value) -> Result<UnixSeconds, Refused> {
    numeric_date(value).map_err(|_| Refused)
}

/// RFC 7519 §4.1.3: a string or a list of them; an empty list is for nobody.
fn one_or_many(value: TextOrAny<'_>) -> Result<Vec<String>, Refused> {
    match value {
        TextOrAny::Text(one) => Ok(vec![one.into_owned()]),
        TextOrAny::Any(Value::Array(many)) if !many.is_empty() => many
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(Refused),
            })
            .collect(),
        TextOrAny::Any(_) => Err(Refused),
    }
}

fn scopes(value: TextOrAny<'_>, dialect: Dialect) -> Result<ScopeSet, Refused> {
    match value {
        TextOrAny::Text(text) => ScopeSet::parse(&text).map_err(|_| Refused),
        TextOrAny::Any(Value::Array(list)) if dialect == Dialect::AnyJwt => list
            .iter()
            .map(|value| Scope::parse(value.as_str().ok_or(Refused)?).map_err(|_| Refused))
            .collect(),
        TextOrAny::Any(_) => Err(Refused),
    }
}
