//! Query strings and `application/x-www-form-urlencoded` bodies.
//!
//! A parameter that comes twice is never "first wins" or "last wins": asking for it is an error
//! (RFC 6749 §3.1, §3.2). A parameter without a value counts as absent (same sections).

use std::collections::BTreeSet;
use std::fmt;

use memchr::{memchr, memchr2};

use crate::error::{ErrorCode, OAuthError};

/// The longest input, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// The most parameters.
pub const MAX_PARAMETERS: usize = 200;
/// So many names are compared with each other sooner than they are put in order.
const FEW: usize = 12;

/// What is wrong with a query string or form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// More than [`MAX_LENGTH`] bytes.
    #[error("The parameters are longer than 64 KiB. Send a smaller request.")]
    TooLong,
    /// More than [`MAX_PARAMETERS`] parameters.
    #[error("There are more than 200 parameters. Send fewer.")]
    TooMany,
    /// A percent sign without two hexadecimal digits.
    #[error("A percent sign is not followed by two hexadecimal digits. Percent-encode every parameter.")]
    BadPercentEncoding,
    /// Decoded bytes that are not UTF-8.
    #[error("A parameter is not UTF-8. Encode the parameters as UTF-8 before percent-encoding them.")]
    NotUtf8,
}

impl From<ParametersError> for OAuthError {
    fn from(error: ParametersError) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}

/// A parameter that was sent more than once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The parameter {0} was sent more than once. Send it once.")]
pub struct Duplicate(pub String);

impl From<Duplicate> for OAuthError {
    fn from(error: Duplicate) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}

/// The decoded parameters of a request, in order. `Debug` shows the names only: the values hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a query string (without `?`) or a form body.
    pub fn parse(input: &[u8]) -> Result<Self, ParametersError> {
        if input.len() > MAX_LENGTH {
            return Err(ParametersError::TooLong);
        }
        let mut pairs = Vec::new();
        for pair in pairs_of(input).filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(ParametersError::TooMany);
            }
            let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
                Some(equals) => (&pair[..equals], &pair[equals + 1..]),
                None => (pair, &b""[..]),
            };
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may come once; `None` when absent or empty.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Duplicate> {
        let mut values = self.get_all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Duplicate(name.to_owned()));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The value of a parameter that must come once.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)?.ok_or_else(|| {
            OAuthError::new(
                ErrorCode::InvalidRequest,
                format!("The parameter {name} is missing. Send it."),
            )
        })
    }

    /// Every value of a parameter that may repeat, such as `resource` (RFC 8707 §2). Empty values are
    /// included: `resource=` names a resource that does not exist.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names, in order, with repetitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names that come more than once.
    pub fn duplicates(&self) -> BTreeSet<&str> {
        // A handful is compared with each other, without memory for it.
        if let few @ ..=FEW = self.0.len() {
            let repeats = |at: &usize| self.0[..*at].iter().any(|(name, _)| *name == self.0[*at].0);
            return (0..few).filter(repeats).map(|at| self.0[at].0.as_str()).collect();
        }
        let mut seen = BTreeSet::new();
        self.names().filter(|name| !seen.insert(*name)).collect()
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// What stands between ampersands, which are looked for many bytes at a time: a token is hundreds of bytes without one.
fn pairs_of(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let left = rest?;
        let end = memchr(b'&', left);
        rest = end.map(|end| &left[end + 1..]);
        Some(&left[..end.unwrap_or(left.len())])
    })
}

fn decode(encoded: &[u8]) -> Result<String, ParametersError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(next) = memchr2(b'+', b'%', rest) {
        let (plain, coded) = rest.split_at(next);
        decoded.extend_from_slice(plain);
        rest = match coded {
            [b'%', high, low, tail @ ..] => {
                let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
                    return Err(ParametersError::BadPercentEncoding);
                };
                decoded.push(high << 4 | low);
                tail
            }
            [b'+', tail @ ..] => {
                decoded.push(b' ');
                tail
            }
            _ => return Err(ParametersError::BadPercentEncoding),
        };
    }
    decoded.extend_from_slice(rest);
    String::from_utf8(decoded).map_err(|_| ParametersError::NotUtf8)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
