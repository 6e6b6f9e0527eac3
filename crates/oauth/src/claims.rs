//! The claims of a JWT access token (RFC 9068 §2.2).
//!
//! Reading is strict: a claim of the wrong type, or `null`, is an error, never "absent". A number that a string holds
//! is not a number.

use std::fmt;

use doorward_jose::json::objects;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::scope::ScopeSet;
use crate::time::UnixSeconds;

/// The `typ` header of an access token (RFC 9068 §2.1).
pub const TYP: &str = "at+jwt";

/// Whether a `typ` header names an access token: `at+jwt`, with or without `application/`, in any letter case
/// (RFC 7515 §4.1.9).
pub fn typ_is_access_token(typ: &str) -> bool {
    let subtype = match typ.split_once('/') {
        Some((main, subtype)) if main.eq_ignore_ascii_case("application") => subtype,
        Some(_) => return false,
        None => typ,
    };
    subtype.eq_ignore_ascii_case(TYP)
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// On whose behalf: a person, or the client itself.
    pub sub: String,
    /// Which resources it is for.
    pub aud: Audience,
    /// The client it was issued to (RFC 8693 §4.3).
    pub client_id: String,
    /// What it allows; absent means nothing beyond being known.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope: Option<ScopeSet>,
    /// Names this token.
    pub jti: String,
    /// When it was issued.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: UnixSeconds,
    /// When it ends.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: UnixSeconds,
    /// When it begins.
    #[serde(
        default,
        deserialize_with = "optional_numeric_date",
        skip_serializing_if = "Option::is_none"
    )]
    pub nbf: Option<UnixSeconds>,
    /// The grant it was issued under; to revoke the grant ends the token.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub gid: Option<String>,
    /// The key the sender must prove (RFC 7800 §3.1).
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub act: Option<Actor>,
    /// When the person signed in.
    #[serde(
        default,
        deserialize_with = "optional_numeric_date",
        skip_serializing_if = "Option::is_none"
    )]
    pub auth_time: Option<UnixSeconds>,
    /// How the person signed in (RFC 8176).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub amr: Option<Vec<String>>,
    /// Every other claim. Must not repeat a name from above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AccessTokenClaims {
    /// The granted scopes; empty when the claim is absent.
    pub fn scopes(&self) -> ScopeSet {
        self.scope.clone().unwrap_or_default()
    }
}

/// The `aud` claim: one resource, or several (RFC 7519 §4.1.3). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(Vec<String>);

impl Audience {
    /// Several resources; `None` if there are none.
    pub fn several(resources: Vec<String>) -> Option<Self> {
        (!resources.is_empty()).then_some(Self(resources))
    }

    /// The resources.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this resource is named, byte for byte.
    pub fn contains(&self, resource: &str) -> bool {
        self.iter().any(|named| named == resource)
    }
}

impl From<String> for Audience {
    fn from(resource: String) -> Self {
        Self(vec![resource])
    }
}

impl From<&str> for Audience {
    fn from(resource: &str) -> Self {
        Self(vec![resource.to_owned()])
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [resource] => serializer.serialize_str(resource),
            resources => serializer.collect_seq(resources),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a non-empty array of strings")
            }

            fn visit_str<E: de::Error>(self, resource: &str) -> Result<Audience, E> {
                Ok(Audience::from(resource))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Audience, A::Error> {
                let mut resources = Vec::new();
                while let Some(resource) = items.next_element::<String>()? {
                    resources.push(resource);
                }
                Audience::several(resources).ok_or_else(|| de::Error::invalid_length(0, &self))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// The `cnf` claim. A confirmation method that is not known here is an error: ignoring it would accept a bound token as
/// a bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The thumbprint of the `DPoP` key (RFC 9449 §6.1).
    pub jkt: String,
}

/// The `act` claim: who acts, and who acted before (RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// The actor's subject.
    pub sub: String,
    /// The issuer of that subject, if it is another one.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub iss: Option<String>,
    /// The actor's client.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_id: Option<String>,
    /// The actor before; for information only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub act: Option<Box<Self>>,
    /// Every other member.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A member that is there has a value of its type; `null` is not one.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for a struct, whoever reads it: an array is not one.
fn present_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    objects(deserializer).map(Some)
}

pub(crate) fn optional_numeric_date<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnixSeconds>, D::Error> {
    numeric_date(deserializer).map(Some)
}

/// Reads a `NumericDate` (RFC 7519 §2): a JSON number of seconds. A fraction is floored.
///
/// For claims of other kinds of JWT: `#[serde(deserialize_with = "numeric_date")]`.
pub fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixSeconds, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = UnixSeconds;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of seconds")
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<UnixSeconds, E> {
            Ok(UnixSeconds(seconds))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<UnixSeconds, E> {
            i64::try_from(seconds)
                .map(UnixSeconds)
                .map_err(|_| E::custom("a number of seconds out of range"))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<UnixSeconds, E> {
            // Every integer up to 2^53 is exact in an f64, so the conversion below loses nothing but the fraction.
            const LIMIT: f64 = 9_007_199_254_740_992.0;
            if !(-LIMIT..=LIMIT).contains(&seconds) {
                return Err(E::custom("a number of seconds out of range"));
            }
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
            Ok(UnixSeconds(seconds.floor() as i64))
        }
    }

    deserializer.deserialize_any(Number)
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
