//! The two discovery documents: authorization server metadata (RFC 8414) and protected resource metadata (RFC 9728).
//!
//! URLs are plain strings on purpose: issuers and resources are compared byte for byte, and a URL type would print
//! them anew. Reading ignores members that are not listed here.

use serde::{Deserialize, Serialize};

/// Authorization server metadata (RFC 8414 §2), also served as `OpenID` provider configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationServerMetadata {
    /// The issuer identifier, byte for byte.
    pub issuer: String,
    /// RFC 6749 §3.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// RFC 6749 §3.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// RFC 7591 §3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// RFC 7009 §2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// RFC 7662 §2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Doorward's own: server-sent events that tell resource servers what was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_events_endpoint: Option<String>,
    /// RFC 9126 §5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// RFC 8628 §4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// The server's public keys (RFC 7517 §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Scopes a client may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// `["code"]`.
    pub response_types_supported: Vec<String>,
    /// `["query"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_modes_supported: Option<Vec<String>>,
    /// Grant types that work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// Client authentication at the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// JWS algorithms of client assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// Client authentication at the revocation endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// JWS algorithms of client assertions at the revocation endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// Client authentication at the introspection endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// JWS algorithms of client assertions at the introspection endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// Authentication context classes that a request can ask for (OpenID Connect Discovery §3, RFC 9470 §6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr_values_supported: Option<Vec<String>>,
    /// `["S256"]`. MCP clients refuse a document without it, in either spelling of the well-known path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207 §3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_response_iss_parameter_supported: Option<bool>,
    /// OAuth Client ID Metadata Document §5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_metadata_document_supported: Option<bool>,
    /// RFC 9126 §5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_pushed_authorization_requests: Option<bool>,
    /// RFC 9449 §5.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Identity Assertion Authorization Grant §7.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_grant_profiles_supported: Option<Vec<String>>,
    /// Which tokens for other servers a token exchange gives (Identity Assertion Authorization Grant §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_chaining_requested_token_types_supported: Option<Vec<String>>,
    /// RFC 9728 §4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected_resources: Option<Vec<String>>,
    /// For developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
    /// RFC 8414 §2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ui_locales_supported: Option<Vec<String>>,
}

/// Protected resource metadata (RFC 9728 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProtectedResourceMetadata {
    /// The resource identifier, byte for byte; clients compare it with the URL they asked for (RFC 9728 §3.3).
    pub resource: String,
    /// Issuers that this resource trusts, byte for byte.
    pub authorization_servers: Vec<String>,
    /// The basic scopes: clients ask for all of them when a challenge names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// `["header"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_methods_supported: Option<Vec<String>>,
    /// Shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// For developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// The resource's own public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// RFC 9449 §5.1 algorithms the resource takes in proofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Whether only DPoP-bound tokens are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_bound_access_tokens_required: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_are_left_out() {
        let document = ProtectedResourceMetadata {
            resource: "https://rs.example/mcp".to_owned(),
            authorization_servers: vec!["https://as.example".to_owned()],
            ..ProtectedResourceMetadata::default()
        };
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"resource":"https://rs.example/mcp","authorization_servers":["https://as.example"]}"#
        );
        let document = AuthorizationServerMetadata {
            issuer: "https://as.example".to_owned(),
            response_types_supported: vec!["code".to_owned()],
            ..AuthorizationServerMetadata::default()
        };
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"issuer":"https://as.example","response_types_supported":["code"]}"#
        );
    }

    #[test]
    fn unknown_members_are_ignored_and_wrong_types_are_errors() {
        let read = |text| serde_json::from_str::<AuthorizationServerMetadata>(text);
        let document =
            read(r#"{"issuer":"https://as.example","x":{"y":1},"token_endpoint":"https://as.example/t"}"#)
                .unwrap();
        assert_eq!(document.issuer, "https://as.example");
        assert_eq!(document.token_endpoint.as_deref(), Some("https://as.example/t"));
        assert!(read(r#"{"issuer":["https://as.example"]}"#).is_err());
        assert!(
            read(r#"{"issuer":"https://as.example","grant_types_supported":"authorization_code"}"#).is_err()
        );
    }
}
