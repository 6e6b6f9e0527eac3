//! What is shown of a client's metadata.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::words;

/// Effective client metadata (RFC 7591 §2): what the client, or an operator, has said of it, with every default filled in.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct MetadataBody {
    /// Where codes may be sent. Absent when nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    redirect_uris: Vec<String>,
    #[schema(schema_with = words::application_type, required = true)]
    application_type: String,
    #[schema(schema_with = words::auth_method, required = true)]
    token_endpoint_auth_method: String,
    /// What it may use at the token endpoint; empty for a client that does nothing but introspect.
    #[schema(schema_with = words::grant_types, required = true)]
    grant_types: Vec<String>,
    /// `code`, or empty without the authorization code grant.
    #[schema(required = true)]
    response_types: Vec<String>,
    /// Shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    /// A page about the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    /// Privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    /// Terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    /// People responsible for the client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    contacts: Vec<String>,
    /// The scopes it means to ask for: a hint where a person decides, the limit of `client_credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Its public keys (RFC 7517 §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    /// Names the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
    /// Whether it gets tokens that are bound to a key, and no others (RFC 9449 §5.2). Absent: no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    dpop_bound_access_tokens: bool,
    /// Whether it has to send its authorization requests in advance (RFC 9126 §6). Absent: no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    require_pushed_authorization_requests: bool,
}

impl MetadataBody {
    /// As it is stored.
    pub(super) fn read(stored: &str) -> Self {
        serde_json::from_str(stored).unwrap_or_default()
    }
}
