//! The `WWW-Authenticate` header (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §7.1).

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{ErrorCode, error_text};
use crate::scope::ScopeSet;

/// The longest header value that is read, in bytes.
const MAX_LENGTH: usize = 16 * 1024;
/// The most challenges that are read from one header value.
const MAX_CHALLENGES: usize = 16;
/// The most parameters that are read in one challenge.
const MAX_PARAMETERS: usize = 32;

/// One challenge: a scheme and its parameters.
///
/// Send the Bearer challenge first when there are several: some clients look at the beginning of the joined header only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// `Bearer` (RFC 6750).
    pub fn bearer() -> Self {
        Self {
            scheme: "Bearer".to_owned(),
            parameters: Vec::new(),
        }
    }

    /// `DPoP` with the JWS algorithms taken in proofs (RFC 9449 §7.1).
    pub fn dpop<'a>(algorithms: impl IntoIterator<Item = &'a str>) -> Self {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        Self {
            scheme: "DPoP".to_owned(),
            parameters: Vec::new(),
        }
        .with("algs", algorithms.join(" "))
    }

    /// Why the request was refused. Leave it out when there were no credentials (RFC 6750 §3.1).
    #[must_use]
    pub fn error(self, code: ErrorCode) -> Self {
        self.with("error", code.as_str())
    }

    /// A sentence for the developer, brought into the character set of RFC 6750 §3.
    #[must_use]
    pub fn description(self, sentence: &str) -> Self {
        self.with("error_description", error_text(sentence))
    }

    /// Every scope the request needs, not only the missing ones; left out when there are none.
    #[must_use]
    pub fn scope(self, scopes: &ScopeSet) -> Self {
        if scopes.is_empty() {
            self
        } else {
            self.with("scope", scopes.to_string())
        }
    }

    /// Where the metadata of the resource is (RFC 9728 §5.1).
    #[must_use]
    pub fn resource_metadata(self, url: &str) -> Self {
        self.with("resource_metadata", url)
    }

    /// How long ago the person may have signed in (RFC 9470 §3).
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        self.with("max_age", age.as_secs().to_string())
    }

    /// The ways to sign in that are strong enough, the most wanted first (RFC 9470 §3).
    #[must_use]
    pub fn acr_values<'a>(self, values: impl IntoIterator<Item = &'a str>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        self.with("acr_values", values.join(" "))
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.retain(|(present, _)| present != name);
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// The scheme, as sent.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether this is the scheme's name, in any letter case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter (names in any letter case). The first, if a server repeats one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(present, _)| present.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Names and values, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The header value. Control and non-ASCII characters become `?`, so the value cannot break out of its header.
    pub fn to_header_value(&self) -> String {
        let mut parameters: Vec<_> = self.parameters.iter().collect();
        parameters.sort_by_key(|(name, _)| self.rank(name));
        let mut value = self.scheme.clone();
        for (index, (name, text)) in parameters.into_iter().enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            let _infallible = write!(value, "{separator}{name}=\"{}\"", quoted(text));
        }
        value
    }

    /// Parameters come in one order, whatever the order they were given in. A step-up challenge
    /// (`insufficient_scope`) names the scopes before everything else that follows the error.
    fn rank(&self, name: &str) -> usize {
        let order = match self.get("error") {
            Some("insufficient_scope") => {
                ["error", "algs", "scope", "resource_metadata", "error_description"]
            }
            _ => ["error", "algs", "error_description", "resource_metadata", "scope"],
        };
        order
            .iter()
            .position(|known| *known == name)
            .unwrap_or(order.len())
    }

    /// Reads a header value, which may hold several challenges. What cannot be read is skipped; nothing is an error,
    /// because a client can only use what it understands.
    pub fn parse(value: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        if value.len() > MAX_LENGTH {
            return challenges;
        }
        for element in elements(value) {
            let (scheme, parameter) = split_scheme(element);
            if let Some(scheme) = scheme {
                if challenges.len() == MAX_CHALLENGES {
                    break;
                }
                challenges.push(Self {
                    scheme: scheme.to_owned(),
                    parameters: Vec::new(),
                });
            }
            let (Some(challenge), Some(parameter)) = (challenges.last_mut(), read_parameter(parameter))
            else {
                continue;
            };
            if challenge.parameters.len() < MAX_PARAMETERS {
                challenge.parameters.push(parameter);
            }
        }
        challenges
    }
}

/// RFC 9110 §5.6.4.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted
}

/// The elements between the commas that stand outside quoted strings.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value
        .split(move |character| {
            let escaping = !escaped && quoted && character == '\\';
            if character == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = escaping;
            character == ',' && !quoted
        })
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// `Bearer realm="x"` begins a challenge; `realm="x"` and `realm = "x"` continue one; `Basic` is one without parameters.
fn split_scheme(element: &str) -> (Option<&str>, &str) {
    let token_end = element
        .find(|character: char| !is_token_character(character))
        .unwrap_or(element.len());
    let (token, rest) = element.split_at(token_end);
    let rest = rest.trim_start();
    let begins = !token.is_empty()
        && !rest.starts_with('=')
        && (rest.is_empty() || element[token_end..].starts_with(' '));
    if begins {
        (Some(token), rest)
    } else {
        (None, element)
    }
}

fn read_parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.chars().all(is_token_character) {
        return None;
    }
    let value = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None if !value.is_empty() && value.chars().all(is_token_character) => value.to_owned(),
        None => return None,
    };
    Some((name.to_owned(), value))
}

/// The text up to the closing quote, which must be the end.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

/// RFC 9110 §5.6.2.
const fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(
            character,
            '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~'
        )
}
