//! From what a client says to what the server does.

use super::keys;
use super::metadata::invalid;
use super::{ApplicationType, ClientMetadata, EffectiveClient, GrantType, TokenEndpointAuthMethod};
use crate::error::{ErrorCode, OAuthError};
use crate::redirect::{RedirectUri, RedirectUriError, RedirectUriKind, SchemePolicy};
use crate::scope::ScopeSet;
use crate::uri::Uri;

const MAX_REDIRECT_URIS: usize = 20;
const MAX_CONTACTS: usize = 20;
const MAX_NAMES: usize = 50;
const MAX_NAME_CHARACTERS: usize = 200;
pub(super) const MAX_TEXT_LENGTH: usize = 2000;

/// What a server lets clients register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationPolicy {
    /// Grant types that clients may have; others are ignored.
    pub grant_types: Vec<GrantType>,
    /// Authentication methods that clients may have; others are refused.
    pub auth_methods: Vec<TokenEndpointAuthMethod>,
    /// The method of a client that names none. Not of one that may have a secret and asks for a grant in which a client
    /// proves who it is: that has `client_secret_basic` (RFC 7591 §2), or `private_key_jwt` where it sends keys.
    pub default_auth_method: TokenEndpointAuthMethod,
    /// Private-use schemes.
    pub schemes: SchemePolicy,
    /// Whether `jwks_uri` may be on a loopback host, over `http` too: for development only.
    pub allow_loopback_jwks_uri: bool,
}

impl RegistrationPolicy {
    /// For dynamic registration (RFC 7591): `client_secret_basic` unless the client says otherwise (§2).
    pub fn dynamic() -> Self {
        Self {
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            auth_methods: vec![
                TokenEndpointAuthMethod::None,
                TokenEndpointAuthMethod::ClientSecretBasic,
                TokenEndpointAuthMethod::ClientSecretPost,
                TokenEndpointAuthMethod::PrivateKeyJwt,
            ],
            default_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            schemes: SchemePolicy::default(),
            allow_loopback_jwks_uri: false,
        }
    }

    /// For client ID metadata documents, which cannot hold a secret: `none` unless the client says otherwise.
    pub fn metadata_document() -> Self {
        Self {
            auth_methods: vec![
                TokenEndpointAuthMethod::None,
                TokenEndpointAuthMethod::PrivateKeyJwt,
            ],
            default_auth_method: TokenEndpointAuthMethod::None,
            ..Self::dynamic()
        }
    }
}

/// Checks client metadata, fills in the defaults, and leaves out what this server does not do.
///
/// One unusable redirect URI among several is left out, because clients register every form they know; with none left
/// the answer is `invalid_redirect_uri`. Unknown grant and response types are ignored likewise.
pub fn effective(
    metadata: &ClientMetadata,
    policy: &RegistrationPolicy,
) -> Result<EffectiveClient, OAuthError> {
    if metadata.software_statement.is_some() {
        return Err(OAuthError::new(
            ErrorCode::UnapprovedSoftwareStatement,
            "No publisher of software statements is trusted here. Register without software_statement.",
        ));
    }
    let token_endpoint_auth_method = auth_method(metadata, policy)?;
    let grant_types = grant_types(metadata, policy, token_endpoint_auth_method)?;
    let uses_authorization_endpoint = grant_types.contains(&GrantType::AuthorizationCode);
    let (redirect_uris, application_type) = redirect_uris(metadata, policy, uses_authorization_endpoint)?;
    let (jwks, jwks_uri) = keys::keys(metadata, policy, token_endpoint_auth_method)?;
    Ok(EffectiveClient {
        redirect_uris,
        application_type,
        token_endpoint_auth_method,
        grant_types,
        response_types: response_types(metadata, uses_authorization_endpoint)?,
        client_name: client_name(metadata)?,
        client_uri: page(metadata.client_uri.as_deref()),
        logo_uri: page(metadata.logo_uri.as_deref()),
        policy_uri: page(metadata.policy_uri.as_deref()),
        tos_uri: page(metadata.tos_uri.as_deref()),
        contacts: contacts(metadata)?,
        scope: scope(metadata)?,
        jwks,
        jwks_uri,
        software_id: text("software_id", metadata.software_id.as_deref())?,
        software_version: text("software_version", metadata.software_version.as_deref())?,
        dpop_bound_access_tokens: metadata.dpop_bound_access_tokens.unwrap_or(false),
        require_pushed_authorization_requests: metadata
            .require_pushed_authorization_requests
            .unwrap_or(false),
    })
}

fn auth_method(
    metadata: &ClientMetadata,
    policy: &RegistrationPolicy,
) -> Result<TokenEndpointAuthMethod, OAuthError> {
    let method = match &metadata.token_endpoint_auth_method {
        None => Some(default_auth_method(metadata, policy)),
        Some(name) => name
            .parse()
            .ok()
            .filter(|method| policy.auth_methods.contains(method)),
    };
    method.ok_or_else(|| {
        let supported: Vec<_> = policy.auth_methods.iter().map(|method| method.as_str()).collect();
        invalid(format!(
            "This token_endpoint_auth_method is not supported. Use one of: {}.",
            supported.join(", ")
        ))
    })
}

/// Silence must not make a public client of one that gets tokens by what it is, and not by what a person decides.
fn default_auth_method(metadata: &ClientMetadata, policy: &RegistrationPolicy) -> TokenEndpointAuthMethod {
    let has_keys = metadata.jwks.is_some() || metadata.jwks_uri.is_some();
    let method = if has_keys {
        TokenEndpointAuthMethod::PrivateKeyJwt
    } else {
        TokenEndpointAuthMethod::ClientSecretBasic
    };
    let wants = |grant_type: GrantType| {
        let mut names = metadata.grant_types.iter().flatten();
        policy.grant_types.contains(&grant_type) && names.any(|name| name == grant_type.as_str())
    };
    let proves_itself = [
        GrantType::ClientCredentials,
        GrantType::TokenExchange,
        GrantType::JwtBearer,
    ];
    // A metadata document cannot hold a secret.
    let may_have_secret = policy
        .auth_methods
        .contains(&TokenEndpointAuthMethod::ClientSecretBasic);
    if may_have_secret && policy.auth_methods.contains(&method) && proves_itself.into_iter().any(wants) {
        method
    } else {
        policy.default_auth_method
    }
}

fn grant_types(
    metadata: &ClientMetadata,
    policy: &RegistrationPolicy,
    method: TokenEndpointAuthMethod,
) -> Result<Vec<GrantType>, OAuthError> {
    let names = metadata.grant_types.as_deref().filter(|names| !names.is_empty());
    if names.is_some_and(|names| names.len() > MAX_NAMES) {
        return Err(invalid(
            "There are too many grant_types. Send those that the client uses.",
        ));
    }
    // RFC 7591 §2 has the first alone. A client that says nothing would send its person to sign in whenever a token ends, and
    // is told what it got (§3.2.1).
    let default = || vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    let asked = names.map_or_else(default, |names| {
        names.iter().filter_map(|name| name.parse().ok()).collect()
    });
    let mut kept: Vec<GrantType> = Vec::new();
    for grant_type in asked {
        // RFC 6749 §4.4: client credentials are for confidential clients. So is the exchange of tokens (RFC 8693 §2.1).
        let for_confidential = matches!(
            grant_type,
            GrantType::ClientCredentials | GrantType::TokenExchange
        );
        let possible = !for_confidential || method != TokenEndpointAuthMethod::None;
        if possible && policy.grant_types.contains(&grant_type) && !kept.contains(&grant_type) {
            kept.push(grant_type);
        }
    }
    if kept
        .iter()
        .all(|grant_type| *grant_type == GrantType::RefreshToken)
    {
        return Err(invalid(
            "None of the grant_types can begin a grant here. Include authorization_code.",
        ));
    }
    Ok(kept)
}

/// RFC 7591 §2.1: the response types and the grant types must fit together. `code` is what a registration that says
/// nothing asks for (§2), so where no grant needs it, it goes without a word: clients of the device grant send it.
fn response_types(
    metadata: &ClientMetadata,
    uses_authorization_endpoint: bool,
) -> Result<Vec<String>, OAuthError> {
    let asked = metadata
        .response_types
        .as_ref()
        .map(|types| types.iter().any(|name| name == "code"));
    match (asked, uses_authorization_endpoint) {
        (None | Some(true), true) => Ok(vec!["code".to_owned()]),
        (_, false) => Ok(Vec::new()),
        (Some(false), true) => Err(invalid(
            "The authorization_code grant needs response_types [code].",
        )),
    }
}

fn redirect_uris(
    metadata: &ClientMetadata,
    policy: &RegistrationPolicy,
    needed: bool,
) -> Result<(Vec<RedirectUri>, ApplicationType), OAuthError> {
    let invalid_uri = |description: String| OAuthError::new(ErrorCode::InvalidRedirectUri, description);
    let given = metadata.redirect_uris.as_deref().unwrap_or_default();
    if given.len() > MAX_REDIRECT_URIS {
        return Err(invalid_uri(format!(
            "There are more than {MAX_REDIRECT_URIS} redirect_uris. Register fewer."
        )));
    }
    let asked = match metadata.application_type.as_deref() {
        Some("web") => ApplicationType::Web,
        // Clients that run on the user's device often leave it out although OpenID Connect then means web.
        Some("native") | None => ApplicationType::Native,
        Some(_) => return Err(invalid("application_type must be native or web.")),
    };
    let mut kept: Vec<RedirectUri> = Vec::new();
    let mut first_error: Option<RedirectUriError> = None;
    for uri in given {
        match RedirectUri::register(uri, asked, &policy.schemes) {
            Ok(uri) if kept.contains(&uri) => {}
            Ok(uri) => kept.push(uri),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) if kept.is_empty() => Err(invalid_uri(format!(
            "No redirect URI can be registered: {error}."
        ))),
        None if kept.is_empty() && needed => Err(invalid_uri(
            "The authorization_code grant needs redirect_uris. Register at least one.".to_owned(),
        )),
        _ => {
            let is_web = metadata.application_type.is_none()
                && !kept.is_empty()
                && kept.iter().all(|uri| uri.kind() == RedirectUriKind::Https);
            Ok((kept, if is_web { ApplicationType::Web } else { asked }))
        }
    }
}

fn client_name(metadata: &ClientMetadata) -> Result<Option<String>, OAuthError> {
    let Some(name) = metadata.client_name.as_deref() else {
        return Ok(None);
    };
    if name.chars().count() > MAX_NAME_CHARACTERS || name.chars().any(char::is_control) {
        return Err(invalid(
            "client_name must have at most 200 characters and no control characters.",
        ));
    }
    let visible: String = name
        .chars()
        .filter(|&character| !is_invisible(character))
        .collect();
    Ok(Some(visible.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// Whether a character changes how a name reads without being seen: bidirectional controls, joiners, zero-width and
/// deprecated format characters, tags and variation selectors. Effective client names have none; what others name
/// themselves may.
pub const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A page that people may be sent to: `https` on a named host, or it is left out.
fn page(uri: Option<&str>) -> Option<String> {
    let text = uri?;
    let parsed = Uri::parse(text, MAX_TEXT_LENGTH).ok()?;
    is_public_https(&parsed).then(|| text.to_owned())
}

pub(super) fn is_public_https(uri: &Uri<'_>) -> bool {
    let named = |authority: crate::uri::Authority<'_>| {
        !(authority.has_userinfo || authority.is_address() || authority.is_loopback())
    };
    uri.is_https() && uri.authority.is_some_and(named)
}

fn contacts(metadata: &ClientMetadata) -> Result<Vec<String>, OAuthError> {
    let contacts = metadata.contacts.clone().unwrap_or_default();
    let fits = |contact: &String| {
        contact.chars().count() <= MAX_NAME_CHARACTERS && !contact.chars().any(char::is_control)
    };
    if contacts.len() > MAX_CONTACTS || !contacts.iter().all(fits) {
        return Err(invalid(
            "contacts must be at most 20 texts of at most 200 characters.",
        ));
    }
    Ok(contacts)
}

fn scope(metadata: &ClientMetadata) -> Result<Option<ScopeSet>, OAuthError> {
    let Some(scope) = metadata.scope.as_deref() else {
        return Ok(None);
    };
    if scope.len() > MAX_TEXT_LENGTH {
        return Err(invalid(
            "scope is longer than 2000 characters. Name the scopes that the client needs first.",
        ));
    }
    let scopes =
        ScopeSet::parse(scope).map_err(|error| invalid(format!("The scope is malformed: {error}.")))?;
    Ok(Some(scopes).filter(|scopes| !scopes.is_empty()))
}

fn text(name: &str, value: Option<&str>) -> Result<Option<String>, OAuthError> {
    match value {
        Some(value) if value.chars().count() > MAX_NAME_CHARACTERS || value.chars().any(char::is_control) => {
            Err(invalid(format!(
                "{name} must have at most 200 characters and no control characters."
            )))
        }
        value => Ok(value.map(str::to_owned)),
    }
}
