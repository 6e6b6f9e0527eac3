//! What a client says about itself, before it is believed.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, OAuthError};

/// The largest client metadata document, in bytes.
pub const MAX_DOCUMENT_LENGTH: usize = 64 * 1024;

/// Client metadata as sent (RFC 7591 §2). Unknown members are ignored, `null` counts as absent, and a known member of the
/// wrong type is an error that names it.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the members are those of RFC 7591 §2, under their own names"
)]
pub struct ClientMetadata {
    pub redirect_uris: Option<Vec<String>>,
    pub application_type: Option<String>,
    pub token_endpoint_auth_method: Option<String>,
    pub grant_types: Option<Vec<String>>,
    pub response_types: Option<Vec<String>>,
    pub client_name: Option<String>,
    pub client_uri: Option<String>,
    pub logo_uri: Option<String>,
    pub policy_uri: Option<String>,
    pub tos_uri: Option<String>,
    pub contacts: Option<Vec<String>>,
    pub scope: Option<String>,
    pub jwks: Option<Value>,
    pub jwks_uri: Option<String>,
    pub software_id: Option<String>,
    pub software_version: Option<String>,
    pub software_statement: Option<String>,
    pub dpop_bound_access_tokens: Option<bool>,
    pub require_pushed_authorization_requests: Option<bool>,
    /// In a client ID metadata document: must equal the document's URL. Ignored in a registration.
    pub client_id: Option<String>,
    /// Whether a `client_secret` or `client_secret_expires_at` was sent. A metadata document must not have one; a
    /// registration's is ignored. The value is not kept.
    pub names_client_secret: bool,
}

impl ClientMetadata {
    /// Reads a document: one JSON object of at most [`MAX_DOCUMENT_LENGTH`] bytes, without duplicate members.
    pub fn from_json(document: &[u8]) -> Result<Self, OAuthError> {
        if document.len() > MAX_DOCUMENT_LENGTH {
            return Err(invalid(
                "The client metadata is larger than 64 KiB. Send a smaller document.",
            ));
        }
        let value: Value = doorward_jose::json::from_slice(document).map_err(|error| {
            invalid("The client metadata is not one JSON object, or it repeats a member. Send one object with each member once.")
                .with_internal(error)
        })?;
        Self::from_value(value)
    }

    /// Reads a value that is parsed already.
    pub fn from_value(value: Value) -> Result<Self, OAuthError> {
        let Value::Object(mut members) = value else {
            return Err(invalid("The client metadata must be a JSON object."));
        };
        let names_client_secret =
            members.contains_key("client_secret") || members.contains_key("client_secret_expires_at");
        let mut redirect_uris = None;
        // RFC 7591 §3.2.2 has an error of its own for these.
        if let Some(value) = members.remove("redirect_uris").filter(|value| !value.is_null()) {
            redirect_uris = Some(serde_json::from_value(value).map_err(|_| {
                OAuthError::new(
                    ErrorCode::InvalidRedirectUri,
                    "redirect_uris must be an array of strings.",
                )
            })?);
        }
        let mut take = Take(&mut members);
        Ok(Self {
            redirect_uris,
            application_type: take.string("application_type")?,
            token_endpoint_auth_method: take.string("token_endpoint_auth_method")?,
            grant_types: take.strings("grant_types")?,
            response_types: take.strings("response_types")?,
            client_name: take.string("client_name")?,
            client_uri: take.string("client_uri")?,
            logo_uri: take.string("logo_uri")?,
            policy_uri: take.string("policy_uri")?,
            tos_uri: take.string("tos_uri")?,
            contacts: take.strings("contacts")?,
            scope: take.string("scope")?,
            jwks: take.member("jwks", "an object")?,
            // Some clients send every member that they know of, and this one is not left out for being no URL.
            jwks_uri: take.string("jwks_uri")?.filter(|uri| !uri.is_empty()),
            software_id: take.string("software_id")?,
            software_version: take.string("software_version")?,
            software_statement: take.string("software_statement")?,
            dpop_bound_access_tokens: take.member("dpop_bound_access_tokens", "true or false")?,
            require_pushed_authorization_requests: take
                .member("require_pushed_authorization_requests", "true or false")?,
            client_id: take.string("client_id")?,
            names_client_secret,
        })
    }
}

struct Take<'a>(&'a mut Map<String, Value>);

impl Take<'_> {
    fn string(&mut self, name: &str) -> Result<Option<String>, OAuthError> {
        self.member(name, "a string")
    }

    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>, OAuthError> {
        self.member(name, "an array of strings")
    }

    fn member<T: de::DeserializeOwned>(&mut self, name: &str, kind: &str) -> Result<Option<T>, OAuthError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|_| invalid(format!("{name} must be {kind}."))),
        }
    }
}

pub(super) fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, description)
}

impl<'de> Deserialize<'de> for ClientMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?)
            .map_err(|error| de::Error::custom(error.description))
    }
}
