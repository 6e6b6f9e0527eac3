//! One claim, by its name.

use std::borrow::Cow;

use doorward_jose::json::{self, Member, Refused, TextOrAny};
use doorward_oauth::claims::{Actor, Confirmation, numeric_date};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::payload::Dialect;

/// What a claim says to a verifier, on its way into a [`Payload`](super::Payload).
#[derive(Debug, Clone)]
pub(super) enum Claim<'p> {
    Issuer(Option<Cow<'p, str>>),
    Subject(Cow<'p, str>),
    ClientId(Cow<'p, str>),
    AuthorizedParty(Cow<'p, str>),
    TokenId(Cow<'p, str>),
    GrantId(Cow<'p, str>),
    Audience(Vec<String>),
    Scope(ScopeSet),
    OtherScope(ScopeSet),
    ExpiresAt(UnixSeconds),
    IssuedAt(UnixSeconds),
    NotBefore(UnixSeconds),
    AuthTime(UnixSeconds),
    /// Every other confirmation method is refused (RFC 7800 §3.1).
    KeyThumbprint(String),
    Actor(Box<Actor>),
    /// Of the right type, and not looked at.
    Checked,
    /// Of any type.
    Other,
}

/// A value of the two kinds that differ from token to token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain<'p> {
    /// A string without escapes.
    Text(&'p str),
    /// A number without sign, fraction and exponent.
    Whole(u64),
}

impl<'p> Claim<'p> {
    pub(super) fn read(name: &str, value: Member<'_, 'p>, dialect: Dialect) -> Result<Self, Refused> {
        Ok(match name {
            "iss" => Self::Issuer(match value.text_or_any()? {
                TextOrAny::Text(issuer) => Some(issuer),
                TextOrAny::Any(_) => None,
            }),
            "sub" => Self::Subject(value.string()?),
            "client_id" => Self::ClientId(value.string()?),
            "aud" => Self::Audience(one_or_many(value.text_or_any()?)?),
            "scope" => Self::Scope(scopes(value.text_or_any()?, dialect)?),
            "jti" => Self::TokenId(value.string()?),
            "exp" => Self::ExpiresAt(date(value.any()?)?),
            "iat" => Self::IssuedAt(date(value.any()?)?),
            "nbf" => Self::NotBefore(date(value.any()?)?),
            "auth_time" => Self::AuthTime(date(value.any()?)?),
            "gid" => Self::GrantId(value.string()?),
            "cnf" => Self::KeyThumbprint(typed::<Confirmation>(value.any()?)?.jkt),
            "act" => Self::Actor(Box::new(typed(value.any()?)?)),
            "amr" => {
                check_strings(&value.any()?)?;
                Self::Checked
            }
            "azp" if dialect == Dialect::AnyJwt => Self::AuthorizedParty(value.string()?),
            "scp" if dialect == Dialect::AnyJwt => Self::OtherScope(scopes(value.text_or_any()?, dialect)?),
            _ => {
                value.skip()?;
                Self::Other
            }
        })
    }

    /// The same claim, with another value. `None` when the strict reader has to say what that means.
    pub(super) fn with<'q>(&self, value: Plain<'q>) -> Option<Claim<'q>> {
        Some(match (self, value) {
            (Self::Issuer(_), Plain::Text(text)) => Claim::Issuer(Some(text.into())),
            (Self::Subject(_), Plain::Text(text)) => Claim::Subject(text.into()),
            (Self::ClientId(_), Plain::Text(text)) => Claim::ClientId(text.into()),
            (Self::AuthorizedParty(_), Plain::Text(text)) => Claim::AuthorizedParty(text.into()),
            (Self::TokenId(_), Plain::Text(text)) => Claim::TokenId(text.into()),
            (Self::GrantId(_), Plain::Text(text)) => Claim::GrantId(text.into()),
            (Self::Audience(_), Plain::Text(text)) => Claim::Audience(vec![text.to_owned()]),
            (Self::Scope(_), Plain::Text(text)) => Claim::Scope(ScopeSet::parse(text).ok()?),
            (Self::OtherScope(_), Plain::Text(text)) => Claim::OtherScope(ScopeSet::parse(text).ok()?),
            (Self::ExpiresAt(_), Plain::Whole(number)) => Claim::ExpiresAt(seconds(number)?),
            (Self::IssuedAt(_), Plain::Whole(number)) => Claim::IssuedAt(seconds(number)?),
            (Self::NotBefore(_), Plain::Whole(number)) => Claim::NotBefore(seconds(number)?),
            (Self::AuthTime(_), Plain::Whole(number)) => Claim::AuthTime(seconds(number)?),
            (Self::Other, _) => Claim::Other,
            _ => return None,
        })
    }

    /// The same claim with the same value; `text` is what stands between its first and its last letter.
    pub(super) fn again<'q>(&self, text: Option<&'q str>) -> Option<Claim<'q>> {
        Some(match self {
            Self::Issuer(Some(_)) => Claim::Issuer(Some(text?.into())),
            Self::Issuer(None) => Claim::Issuer(None),
            Self::Subject(_) => Claim::Subject(text?.into()),
            Self::ClientId(_) => Claim::ClientId(text?.into()),
            Self::AuthorizedParty(_) => Claim::AuthorizedParty(text?.into()),
            Self::TokenId(_) => Claim::TokenId(text?.into()),
            Self::GrantId(_) => Claim::GrantId(text?.into()),
            Self::Audience(audience) => Claim::Audience(audience.clone()),
            Self::Scope(scopes) => Claim::Scope(scopes.clone()),
            Self::OtherScope(scopes) => Claim::OtherScope(scopes.clone()),
            Self::ExpiresAt(date) => Claim::ExpiresAt(*date),
            Self::IssuedAt(date) => Claim::IssuedAt(*date),
            Self::NotBefore(date) => Claim::NotBefore(*date),
            Self::AuthTime(date) => Claim::AuthTime(*date),
            Self::KeyThumbprint(thumbprint) => Claim::KeyThumbprint(thumbprint.clone()),
            Self::Actor(actor) => Claim::Actor(actor.clone()),
            Self::Checked => Claim::Checked,
            Self::Other => Claim::Other,
        })
    }

    /// The same claim, for as long as anybody wants it.
    pub(super) fn into_owned(self) -> Claim<'static> {
        fn text(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        match self {
            Self::Issuer(issuer) => Claim::Issuer(issuer.map(text)),
            Self::Subject(name) => Claim::Subject(text(name)),
            Self::ClientId(name) => Claim::ClientId(text(name)),
            Self::AuthorizedParty(name) => Claim::AuthorizedParty(text(name)),
            Self::TokenId(name) => Claim::TokenId(text(name)),
            Self::GrantId(name) => Claim::GrantId(text(name)),
            Self::Audience(audience) => Claim::Audience(audience),
            Self::Scope(scopes) => Claim::Scope(scopes),
            Self::OtherScope(scopes) => Claim::OtherScope(scopes),
            Self::ExpiresAt(date) => Claim::ExpiresAt(date),
            Self::IssuedAt(date) => Claim::IssuedAt(date),
            Self::NotBefore(date) => Claim::NotBefore(date),
            Self::AuthTime(date) => Claim::AuthTime(date),
            Self::KeyThumbprint(thumbprint) => Claim::KeyThumbprint(thumbprint),
            Self::Actor(actor) => Claim::Actor(actor),
            Self::Checked => Claim::Checked,
            Self::Other => Claim::Other,
        }
    }
}

fn seconds(number: u64) -> Option<UnixSeconds> {
    i64::try_from(number).ok().map(UnixSeconds)
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
