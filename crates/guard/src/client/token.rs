//! Token answers (RFC 6749 §5.1, RFC 8693 §2.2.1, RFC 9449 §5).

use std::time::Duration;

use doorward_oauth::scope::ScopeSet;
use secrecy::{ExposeSecret, SecretString};

use super::answer::Members;
use super::error::ClientError;

/// `urn:ietf:params:oauth:token-type:access_token` (RFC 8693 §3)
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Longer tokens do not fit into a request header.
const MAX_TOKEN: usize = 16 * 1024;

/// How an access token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// RFC 6750
    Bearer,
    /// RFC 9449: bound to the client's key, every use needs a proof.
    Dpop,
    /// `N_A`: the token is no access token (RFC 8693 §2.2.1).
    NotApplicable,
}

/// A token, with what the authorization server says about it. `Debug` does not show the token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The token.
    pub access_token: SecretString,
    /// How it is presented.
    pub token_type: TokenType,
    /// How long it counts from now on: what the server said, less the time it was kept here. `None` when the server
    /// did not say.
    pub expires_in: Option<Duration>,
    /// What was granted. `None` means: what was asked for.
    pub scope: Option<ScopeSet>,
    /// A refresh token, where the server issues one.
    pub refresh_token: Option<SecretString>,
    /// What kind of token came out of an exchange.
    pub issued_token_type: Option<String>,
}

/// What a token answer must fulfil.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// Whether a `DPoP` proof was sent.
    pub(crate) proof_sent: bool,
    /// Whether a token that is not bound is refused.
    pub(crate) binding_required: bool,
    /// The `issued_token_type` of an exchange.
    pub(crate) issued_token_type: Option<String>,
}

impl TokenResponse {
    /// For tests of code that takes tokens: one of which nothing else was said.
    #[cfg(feature = "testing")]
    pub fn new(access_token: impl Into<SecretString>, token_type: TokenType) -> Self {
        Self {
            access_token: access_token.into(),
            token_type,
            expires_in: None,
            scope: None,
            refresh_token: None,
            issued_token_type: None,
        }
    }

    pub(crate) fn read(members: &Members, expected: &Expected) -> Result<Self, ClientError> {
        let access_token = token(members, "access_token", "`access_token` is no usable text")?
            .ok_or(ClientError::Protocol("the answer has no `access_token`"))?;
        let issued_token_type = members
            .text("issued_token_type", "`issued_token_type` is no text")?
            .map(str::to_owned);
        if expected.issued_token_type.is_some() && issued_token_type != expected.issued_token_type {
            return Err(ClientError::Protocol(
                "`issued_token_type` is missing or not the type that was asked for",
            ));
        }
        let scope = members.text("scope", "`scope` is no text")?;
        let scope = scope
            .filter(|scope| !scope.is_empty())
            .map(ScopeSet::parse)
            .transpose();
        let expires_in = members.number("expires_in", "`expires_in` is no whole number of seconds")?;
        Ok(Self {
            token_type: token_type(members, expected)?,
            access_token,
            expires_in: expires_in.map(Duration::from_secs),
            scope: scope.map_err(|_| ClientError::Protocol("`scope` is no list of scopes"))?,
            refresh_token: token(members, "refresh_token", "`refresh_token` is no usable text")?,
            issued_token_type,
        })
    }

    pub(crate) fn is(&self, token: &str) -> bool {
        doorward_jose::constant_time_eq(self.access_token.expose_secret().as_bytes(), token.as_bytes())
    }
}

/// RFC 6749 §A.12, §A.17: visible characters.
fn token(members: &Members, name: &str, wrong: &'static str) -> Result<Option<SecretString>, ClientError> {
    match members.text(name, wrong)? {
        None => Ok(None),
        Some(token)
            if !token.is_empty()
                && token.len() <= MAX_TOKEN
                && token.bytes().all(|byte| (0x21..0x7f).contains(&byte)) =>
        {
            Ok(Some(SecretString::from(token)))
        }
        Some(_) => Err(ClientError::Protocol(wrong)),
    }
}

fn token_type(members: &Members, expected: &Expected) -> Result<TokenType, ClientError> {
    const UNKNOWN: ClientError =
        ClientError::Protocol("`token_type` is missing or not one that this client knows");
    let named = members
        .text("token_type", "`token_type` is no text")?
        .ok_or(UNKNOWN)?;
    // RFC 6749 §5.1: names of token types are not case-sensitive.
    if named.eq_ignore_ascii_case("Bearer") {
        return if expected.proof_sent && expected.binding_required {
            Err(ClientError::Protocol(
                "a DPoP proof was sent, but the token is not bound to the key (`token_type` is not DPoP)",
            ))
        } else {
            Ok(TokenType::Bearer)
        };
    }
    if named.eq_ignore_ascii_case("DPoP") {
        return if expected.proof_sent {
            Ok(TokenType::Dpop)
        } else {
            Err(ClientError::Protocol(
                "the token is bound to a key (`token_type` is DPoP), but no proof was sent",
            ))
        };
    }
    let other_than_access_token = expected
        .issued_token_type
        .as_deref()
        .is_some_and(|issued| issued != ACCESS_TOKEN_TYPE);
    if named.eq_ignore_ascii_case("N_A") && other_than_access_token {
        return Ok(TokenType::NotApplicable);
    }
    Err(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Expected = Expected {
        proof_sent: false,
        binding_required: true,
        issued_token_type: None,
    };

    fn read(body: &str, expected: &Expected) -> Result<TokenResponse, ClientError> {
        TokenResponse::read(&Members::parse(body.as_bytes())?, expected)
    }

    #[test]
    fn a_whole_answer_is_read() {
        let body = r#"{"access_token":"a.b","token_type":"bearer","expires_in":300,"scope":"a b","refresh_token":"r","x":[1]}"#;
        let token = read(body, &PLAIN).unwrap();
        assert_eq!(token.access_token.expose_secret(), "a.b");
        assert_eq!(token.token_type, TokenType::Bearer);
        assert_eq!(token.expires_in, Some(Duration::from_mins(5)));
        assert_eq!(
            token.scope.as_ref().map(ToString::to_string).as_deref(),
            Some("a b")
        );
        assert_eq!(token.refresh_token.as_ref().unwrap().expose_secret(), "r");
        assert!(!format!("{token:?}").contains("a.b"));
    }

    #[test]
    fn wrong_types_are_protocol_errors() {
        for body in [
            r#"{"token_type":"Bearer"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":5,"token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a\r\nb","token_type":"Bearer"}"#,
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","token_type":null}"#,
            r#"{"access_token":"a","token_type":"mac"}"#,
            r#"{"access_token":"a","token_type":"N_A"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":1.5}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"300"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":null}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":99999999999999999999}"#,
            r#"{"access_token":"a","token_type":"Bearer","scope":["a"]}"#,
            r#"{"access_token":"a","token_type":"Bearer","scope":"a\"b"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        ] {
            assert!(
                matches!(read(body, &PLAIN), Err(ClientError::Protocol(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn a_token_that_was_asked_to_be_bound_must_be() {
        let (bearer, dpop) = (
            r#"{"access_token":"a","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"dpop"}"#,
        );
        let strict = Expected {
            proof_sent: true,
            ..PLAIN
        };
        let lenient = Expected {
            binding_required: false,
            ..strict.clone()
        };
        assert!(matches!(read(bearer, &strict), Err(ClientError::Protocol(_))));
        assert_eq!(read(dpop, &strict).unwrap().token_type, TokenType::Dpop);
        assert_eq!(read(bearer, &lenient).unwrap().token_type, TokenType::Bearer);
        assert!(matches!(read(dpop, &PLAIN), Err(ClientError::Protocol(_))));
    }
}
