//! Client metadata (RFC 7591 §2): what a client says about itself, and what the server makes of it.

use std::fmt;
use std::str::FromStr;

use doorward_jose::{JwkSet, base64url, sha256};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use crate::redirect::ApplicationType;
use crate::redirect::RedirectUri;
use crate::scope::ScopeSet;

mod effective;
mod keys;
mod metadata;

pub use effective::{RegistrationPolicy, effective, is_invisible};
pub use metadata::{ClientMetadata, MAX_DOCUMENT_LENGTH};

macro_rules! wire_names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $wire)] $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name).ok_or(UnknownName)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// A name that is not registered, or that this server does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

wire_names! {
    /// How a client authenticates at the token endpoint (RFC 7591 §2, OpenID Connect Core §9).
    TokenEndpointAuthMethod {
        /// A public client: it names itself and proves possession of the code by PKCE.
        None = "none",
        /// HTTP Basic (RFC 6749 §2.3.1).
        ClientSecretBasic = "client_secret_basic",
        /// `client_id` and `client_secret` in the form.
        ClientSecretPost = "client_secret_post",
        /// A signed assertion (RFC 7523 §2.2).
        PrivateKeyJwt = "private_key_jwt",
    }
}

wire_names! {
    /// A grant type.
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8693.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
        /// RFC 7523 §2.1.
        JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer",
        /// RFC 8628 §3.4.
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
    }
}

/// A client as the server treats it: checked, with every default filled in. Serialises to the members of RFC 7591 §2, as
/// a registration response returns them (RFC 7591 §3.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveClient {
    /// Never empty for clients that use the authorization endpoint. Reading leaves out what could not be registered
    /// today, so that a URI that got in by another way is never followed.
    #[serde(
        default,
        deserialize_with = "usable_redirect_uris",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub redirect_uris: Vec<RedirectUri>,
    /// Native or web.
    pub application_type: ApplicationType,
    /// How it authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// What it may use at the token endpoint; empty only for a client that does nothing but introspect.
    pub grant_types: Vec<GrantType>,
    /// `["code"]`, or empty without the authorization code grant.
    pub response_types: Vec<String>,
    /// Shown to people; says nothing about who the client is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// A page about the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// A picture. Never fetched by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// People responsible for the client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// The scopes it means to ask for: a hint, not a limit. Clients step up later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSet>,
    /// Its public keys.
    #[serde(
        default,
        deserialize_with = "key_set",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks: Option<JwkSet>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Names the software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// Whether it always wants `DPoP`-bound access tokens (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Whether it sends every authorization request in advance (RFC 9126 §6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_pushed_authorization_requests: bool,
}

impl EffectiveClient {
    /// Whether the client has no way to authenticate.
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == TokenEndpointAuthMethod::None
    }

    /// Whether it may use this grant type.
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// The registered redirect URI that a request names.
    pub fn redirect_uri(&self, requested: &str) -> Option<&RedirectUri> {
        self.redirect_uris
            .iter()
            .find(|registered| registered.matches(requested))
    }
}

fn usable_redirect_uris<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RedirectUri>, D::Error> {
    let stored = Vec::<String>::deserialize(deserializer)?;
    Ok(stored
        .iter()
        .filter_map(|uri| RedirectUri::parse(uri).ok())
        .collect())
}

fn key_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JwkSet>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    value
        .map(|value| JwkSet::from_value(&value))
        .transpose()
        .map_err(serde::de::Error::custom)
}

/// The `client_id` of a public client that registered itself: the same metadata gives the same id, whatever the order of
/// its redirect URIs, grant types and scopes and whatever the port of its loopback URIs. However often a client
/// registers, there is one client.
pub fn derived_client_id(client: &EffectiveClient) -> String {
    let identity = Identity {
        what: what_people_agree_to(client),
        application_type: client.application_type,
        token_endpoint_auth_method: client.token_endpoint_auth_method,
        grant_types: sorted(client.grant_types.clone()),
        pages: [
            &client.client_uri,
            &client.logo_uri,
            &client.policy_uri,
            &client.tos_uri,
        ],
        contacts: sorted(client.contacts.iter().map(String::as_str).collect()),
        scope: client
            .scope
            .as_ref()
            .map(|scopes| sorted(scopes.iter().map(AsRef::as_ref).collect())),
        software: [&client.software_id, &client.software_version],
        dpop_bound_access_tokens: client.dpop_bound_access_tokens,
        require_pushed_authorization_requests: client.require_pushed_authorization_requests,
    };
    format!("dwc_{}", digest(&identity))
}

/// Changes when what a person agreed to changes: the redirect URIs, the keys or the name. A remembered consent holds for
/// one fingerprint.
pub fn consent_fingerprint(client: &EffectiveClient) -> String {
    digest(&what_people_agree_to(client))
}

/// Struct members serialise in this order, so the JSON is canonical.
#[derive(Serialize)]
struct Identity<'a> {
    what: Agreement<'a>,
    application_type: ApplicationType,
    token_endpoint_auth_method: TokenEndpointAuthMethod,
    grant_types: Vec<GrantType>,
    pages: [&'a Option<String>; 4],
    contacts: Vec<&'a str>,
    scope: Option<Vec<&'a str>>,
    software: [&'a Option<String>; 2],
    dpop_bound_access_tokens: bool,
    /// Left out when it says nothing, so that the ids that were given out before there was such a member stay.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_pushed_authorization_requests: bool,
}

#[derive(Serialize)]
struct Agreement<'a> {
    redirect_uris: Vec<String>,
    keys: Option<Vec<(&'a str, Option<&'a str>)>>,
    jwks_uri: Option<&'a str>,
    client_name: Option<&'a str>,
}

fn what_people_agree_to(client: &EffectiveClient) -> Agreement<'_> {
    let keys = client.jwks.as_ref().map(|set| {
        sorted(
            set.keys
                .iter()
                .map(|key| (key.thumbprint(), key.key_id()))
                .collect(),
        )
    });
    Agreement {
        redirect_uris: sorted(client.redirect_uris.iter().map(RedirectUri::comparable).collect()),
        keys,
        jwks_uri: client.jwks_uri.as_deref(),
        client_name: client.client_name.as_deref(),
    }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

fn digest(value: &impl Serialize) -> String {
    // Strings, arrays and structs always serialise; were it otherwise, the ids would be equal, which the store refuses.
    let canonical = serde_json::to_vec(value).unwrap_or_default();
    base64url::encode(&sha256(&canonical))
}

#[cfg(test)]
#[path = "client_identity_tests.rs"]
mod identity_tests;

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
