//! The public keys of clients.

use doorward_jose::{JoseError, Jwk, JwkSet};
use serde_json::Value;

use super::effective::{MAX_TEXT_LENGTH, is_public_https};
use super::metadata::invalid;
use super::{ClientMetadata, RegistrationPolicy, TokenEndpointAuthMethod};
use crate::error::OAuthError;
use crate::uri::Uri;

const MAX_KEYS: usize = 20;

/// `jwks` and `jwks_uri`; never both.
pub(super) fn keys(
    metadata: &ClientMetadata,
    policy: &RegistrationPolicy,
    method: TokenEndpointAuthMethod,
) -> Result<(Option<JwkSet>, Option<String>), OAuthError> {
    if metadata.jwks.is_some() && metadata.jwks_uri.is_some() {
        return Err(invalid("Send jwks or jwks_uri, not both."));
    }
    let jwks = metadata.jwks.as_ref().map(key_set).transpose()?;
    let jwks_uri = metadata
        .jwks_uri
        .as_deref()
        .map(|uri| jwks_uri(uri, policy))
        .transpose()?;
    if method == TokenEndpointAuthMethod::PrivateKeyJwt && jwks.is_none() && jwks_uri.is_none() {
        return Err(invalid(
            "private_key_jwt needs the client's public keys. Send jwks or jwks_uri.",
        ));
    }
    Ok((jwks, jwks_uri))
}

/// A key of an unknown kind is left out; a private or symmetric one refuses the whole, since its owner has just given it away.
fn key_set(value: &Value) -> Result<JwkSet, OAuthError> {
    let Some(keys) = value
        .get("keys")
        .and_then(Value::as_array)
        .filter(|keys| keys.len() <= MAX_KEYS)
    else {
        return Err(invalid(
            "jwks must be an object whose member keys is an array of at most 20 keys.",
        ));
    };
    let mut usable = JwkSet::default();
    for key in keys {
        match Jwk::from_value(key) {
            Ok(key) => usable.keys.push(key),
            Err(JoseError::PrivateKey) => {
                return Err(invalid(
                    "jwks holds a private or symmetric key. Replace that key and send public keys only.",
                ));
            }
            Err(_) => {}
        }
    }
    if usable.keys.is_empty() {
        return Err(invalid(
            "jwks holds no usable public key. Send an EC P-256 or P-384, Ed25519 or RSA (2048 bits or more) key.",
        ));
    }
    Ok(usable)
}

fn jwks_uri(text: &str, policy: &RegistrationPolicy) -> Result<String, OAuthError> {
    let uri = Uri::parse(text, MAX_TEXT_LENGTH).ok();
    let on_loopback =
        |uri: &Uri<'_>| uri.is_http() && uri.authority.is_some_and(|authority| authority.is_loopback());
    let allowed = uri.is_some_and(|uri| {
        uri.fragment.is_none()
            && (is_public_https(&uri) || (policy.allow_loopback_jwks_uri && on_loopback(&uri)))
    });
    if allowed {
        Ok(text.to_owned())
    } else {
        Err(invalid("jwks_uri must be an https URL on a public, named host."))
    }
}
