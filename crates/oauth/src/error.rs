//! OAuth errors: a registered code and one sentence that says what to change.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)*) => {
        /// A registered `error` value. The comments name the section that defines it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status of a JSON answer with this code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

error_codes! {
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidRequest = "invalid_request", 400;
    /// RFC 6749 §5.2.
    InvalidClient = "invalid_client", 401;
    /// RFC 6749 §5.2.
    InvalidGrant = "invalid_grant", 400;
    /// RFC 6749 §4.1.2.1, §5.2.
    UnauthorizedClient = "unauthorized_client", 400;
    /// RFC 6749 §5.2.
    UnsupportedGrantType = "unsupported_grant_type", 400;
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidScope = "invalid_scope", 400;
    /// RFC 8707 §2.
    InvalidTarget = "invalid_target", 400;
    /// RFC 6749 §4.1.2.1.
    AccessDenied = "access_denied", 400;
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType = "unsupported_response_type", 400;
    /// RFC 6749 §4.1.2.1.
    ServerError = "server_error", 500;
    /// RFC 6749 §4.1.2.1.
    TemporarilyUnavailable = "temporarily_unavailable", 503;
    /// OpenID Connect Core §3.1.2.6.
    LoginRequired = "login_required", 400;
    /// OpenID Connect Core §3.1.2.6.
    ConsentRequired = "consent_required", 400;
    /// OpenID Connect Core §3.1.2.6.
    InteractionRequired = "interaction_required", 400;
    /// OpenID Connect Core §3.1.2.6.
    AccountSelectionRequired = "account_selection_required", 400;
    /// RFC 9101 §7.
    RequestNotSupported = "request_not_supported", 400;
    /// RFC 9101 §7, RFC 9126 §4.
    InvalidRequestUri = "invalid_request_uri", 400;
    /// RFC 9470 §5.
    UnmetAuthenticationRequirements = "unmet_authentication_requirements", 400;
    /// RFC 9396 §5.
    InvalidAuthorizationDetails = "invalid_authorization_details", 400;
    /// RFC 7591 §3.2.2.
    InvalidRedirectUri = "invalid_redirect_uri", 400;
    /// RFC 7591 §3.2.2.
    InvalidClientMetadata = "invalid_client_metadata", 400;
    /// RFC 7591 §3.2.2.
    InvalidSoftwareStatement = "invalid_software_statement", 400;
    /// RFC 7591 §3.2.2.
    UnapprovedSoftwareStatement = "unapproved_software_statement", 400;
    /// RFC 6750 §3.1.
    InvalidToken = "invalid_token", 401;
    /// RFC 6750 §3.1.
    InsufficientScope = "insufficient_scope", 403;
    /// RFC 9470 §3.
    InsufficientUserAuthentication = "insufficient_user_authentication", 401;
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType = "unsupported_token_type", 400;
    /// RFC 9449 §5.
    InvalidDpopProof = "invalid_dpop_proof", 400;
    /// RFC 9449 §8.
    UseDpopNonce = "use_dpop_nonce", 400;
    /// RFC 8628 §3.5.
    AuthorizationPending = "authorization_pending", 400;
    /// RFC 8628 §3.5.
    SlowDown = "slow_down", 400;
    /// RFC 8628 §3.5.
    ExpiredToken = "expired_token", 400;
}

impl ErrorCode {
    /// The code with this value on the wire.
    pub fn from_wire(value: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == value)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        Self::from_wire(&value).ok_or_else(|| serde::de::Error::custom("unknown OAuth error code"))
    }
}

/// An answer that refuses.
///
/// `description` is for the developer at the other end: a fixed sentence that says what to change, free of
/// input and secrets. `internal` is for the operator's log and is never serialised. Serialises as
/// `{"error": …, "error_description": …}` (RFC 6749 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// What kind of refusal it is.
    pub code: ErrorCode,
    /// The sentence with the fix.
    pub description: Cow<'static, str>,
    /// What only the operator may read.
    pub internal: Option<String>,
}

impl OAuthError {
    /// An error with its sentence.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            description: description.into(),
            internal: None,
        }
    }

    /// Adds what only the operator may read.
    #[must_use]
    pub fn with_internal(mut self, internal: impl fmt::Display) -> Self {
        self.internal = Some(internal.to_string());
        self
    }

    /// The HTTP status of a JSON answer.
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// The description in the character set of RFC 6749 §5.2.
    pub fn safe_description(&self) -> Cow<'_, str> {
        error_text(&self.description)
    }
}

/// Brings a text into the character set of `error_description` (RFC 6749 §5.2, RFC 6750 §3:
/// `%x20-21 / %x23-5B / %x5D-7E`). Quotes become `'`, backslashes `/`, the rest `?`.
pub fn error_text(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_error_byte) {
        return Cow::Borrowed(text);
    }
    let replace = |character: char| match character {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => character,
        _ => '?',
    };
    Cow::Owned(text.chars().map(replace).collect())
}

const fn is_error_byte(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

impl std::error::Error for OAuthError {}

impl Serialize for OAuthError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("OAuthError", 2)?;
        object.serialize_field("error", &self.code)?;
        object.serialize_field("error_description", &*self.safe_description())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internal_text_is_never_serialised() {
        let error = OAuthError::new(ErrorCode::InvalidGrant, "The code has expired. Start again.")
            .with_internal("row 7");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"error":"invalid_grant","error_description":"The code has expired. Start again."}"#
        );
        assert!(!error.to_string().contains("row 7"));
    }

    #[test]
    fn a_description_stays_in_the_character_set() {
        let error = OAuthError::new(ErrorCode::InvalidRequest, "say \"please\" \\ caf\u{e9}\r\n");
        assert_eq!(error.safe_description(), "say 'please' / caf???");
    }

    #[test]
    fn codes_survive_the_wire() {
        for code in ErrorCode::ALL {
            let wire = serde_json::to_string(code).unwrap();
            assert_eq!(serde_json::from_str::<ErrorCode>(&wire).unwrap(), *code);
        }
        assert!(serde_json::from_str::<ErrorCode>("\"INVALID_REQUEST\"").is_err());
    }

    #[test]
    fn invalid_grant_is_400_and_invalid_client_is_401() {
        assert_eq!(ErrorCode::InvalidGrant.status(), 400);
        assert_eq!(ErrorCode::InvalidClient.status(), 401);
        assert_eq!(ErrorCode::InsufficientScope.status(), 403);
        assert_eq!(ErrorCode::TemporarilyUnavailable.status(), 503);
    }
}
