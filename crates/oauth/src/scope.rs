//! Scopes (RFC 6749 §3.3).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest scope token, in bytes.
pub const MAX_TOKEN_LENGTH: usize = 256;
/// The longest `scope` parameter, in bytes.
pub const MAX_LENGTH: usize = 8192;
/// The most scopes in one set.
pub const MAX_SCOPES: usize = 200;

/// Asks for a refresh token (OpenID Connect Core §11). Not a permission on a resource: it belongs in the
/// authorization server's `scopes_supported`, not in a challenge or in resource metadata.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// What is wrong with a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A scope token has no characters.
    #[error("a scope must have at least one character")]
    Empty,
    /// A character outside `%x21 / %x23-5B / %x5D-7E`.
    #[error(
        "a scope must consist of printable ASCII characters without spaces, double quotes and backslashes; write each scope by itself"
    )]
    InvalidCharacter,
    /// A token above [`MAX_TOKEN_LENGTH`] or a set above [`MAX_LENGTH`] bytes.
    #[error("the scope is too long")]
    TooLong,
    /// More than [`MAX_SCOPES`] scopes.
    #[error("there are too many scopes")]
    TooMany,
}

/// One scope token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// Checks one token.
    pub fn parse(token: &str) -> Result<Self, ScopeError> {
        if token.is_empty() {
            return Err(ScopeError::Empty);
        }
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(ScopeError::TooLong);
        }
        if !token.bytes().all(is_scope_byte) {
            return Err(ScopeError::InvalidCharacter);
        }
        Ok(Self(token.to_owned()))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 6749 §3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(token: &str) -> Result<Self, ScopeError> {
        Self::parse(token)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A set of scopes, in the order they were given, without repetitions.
///
/// The empty set means "no scopes", never "every scope". Two sets are equal when they have the same members,
/// whatever the order.
#[derive(Clone, Default)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads a `scope` value. Surplus spaces are ignored; the empty string is the empty set.
    pub fn parse(value: &str) -> Result<Self, ScopeError> {
        if value.len() > MAX_LENGTH {
            return Err(ScopeError::TooLong);
        }
        let mut set = Self::new();
        for token in value.split(' ').filter(|token| !token.is_empty()) {
            set.insert(Scope::parse(token)?);
            if set.len() > MAX_SCOPES {
                return Err(ScopeError::TooMany);
            }
        }
        Ok(set)
    }

    /// Reads what this program wrote and keeps: whatever its size, since what cannot be read could not be ended either.
    ///
    /// # Errors
    /// [`ScopeError`] of a scope that is none.
    pub fn from_stored(value: &str) -> Result<Self, ScopeError> {
        value
            .split(' ')
            .filter(|token| !token.is_empty())
            .map(Scope::parse)
            .collect()
    }

    /// Whether everybody who reads the set takes it: one that is put together of others may have outgrown [`MAX_SCOPES`] or
    /// [`MAX_LENGTH`].
    ///
    /// # Errors
    /// [`ScopeError::TooMany`], [`ScopeError::TooLong`].
    pub fn check_size(&self) -> Result<(), ScopeError> {
        if self.len() > MAX_SCOPES {
            return Err(ScopeError::TooMany);
        }
        let spaces = self.len().saturating_sub(1);
        let length: usize = self.iter().map(|scope| scope.as_str().len()).sum();
        if length + spaces > MAX_LENGTH {
            return Err(ScopeError::TooLong);
        }
        Ok(())
    }

    /// Adds a scope; `false` when it was in the set already.
    pub fn insert(&mut self, scope: Scope) -> bool {
        let fresh = !self.0.contains(&scope);
        if fresh {
            self.0.push(scope);
        }
        fresh
    }

    /// Whether this scope is a member.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|member| member.0 == scope)
    }

    /// Whether every member of `other` is a member.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|scope| self.contains(scope.as_str()))
    }

    /// The members that are in both sets, in this set's order.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.filtered(|scope| other.contains(scope.as_str()))
    }

    /// The members that are not in `other`, in this set's order.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.filtered(|scope| !other.contains(scope.as_str()))
    }

    /// The members of this set, then the members that only `other` has.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The members, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    fn filtered(&self, keep: impl Fn(&Scope) -> bool) -> Self {
        Self(self.iter().filter(|scope| keep(scope)).cloned().collect())
    }
}

impl PartialEq for ScopeSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.contains_all(other)
    }
}

impl Eq for ScopeSet {}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::new();
        set.extend(scopes);
        set
    }
}

impl Extend<Scope> for ScopeSet {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        for scope in scopes {
            self.insert(scope);
        }
    }
}

impl<'a> IntoIterator for &'a ScopeSet {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for ScopeSet {
    type Item = Scope;
    type IntoIter = std::vec::IntoIter<Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(value: &str) -> Result<Self, ScopeError> {
        Self::parse(value)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
