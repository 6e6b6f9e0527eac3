//! An authorization request (OAuth 2.1 §4.1.1), read and checked in the order that decides where errors go:
//! first who asks and where the answer would be sent, then everything else.

use std::sync::Arc;

use doorward_jose::base64url;
use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::pkce::CodeChallenge;
use doorward_oauth::redirect::RedirectUriKind;
use doorward_oauth::scope::{OFFLINE_ACCESS, ScopeSet};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{ClientSource, Digest};
use serde::{Deserialize, Serialize};

use super::prompt::Prompt;
use crate::clients::Client;
use crate::context::Context;
use crate::email::MAX_EMAIL;
use crate::http::error::PageError;
use crate::http::request::RequestInfo;
use crate::login::acr;
use crate::resources::{Targets, select_scopes};
use crate::shown;

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// The parameters that are read and must not come twice. Unknown ones are ignored, however often they come
/// (RFC 6749 §3.1); `resource` may repeat (RFC 8707 §2).
const SINGLE: [&str; 13] = [
    "acr_values",
    "dpop_jkt",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "request",
    "request_uri",
];

/// A request whose every parameter has been checked. Nothing of it is ever read from a form again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorizationRequest {
    /// Who asks.
    pub(crate) client_id: String,
    /// Where the answer goes.
    pub(crate) answer: Answer,
    /// The resource, as registered. The first one, of several.
    pub(crate) resource: String,
    /// The other resources, as registered (RFC 8707 §2).
    pub(crate) more_resources: Vec<String>,
    /// What the person is asked to allow.
    pub(crate) scopes: ScopeSet,
    /// What the person is to be shown.
    pub(crate) prompt: Prompt,
    /// How long ago the person may have signed in, in seconds.
    pub(crate) max_age: Option<u32>,
    /// Goes into the e-mail field.
    pub(crate) login_hint: Option<String>,
}

/// Where the code goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Through the browser, to the client's redirect URI.
    Redirect {
        /// Exactly as requested.
        redirect_uri: String,
        /// Given back byte for byte.
        state: Option<String>,
        /// PKCE, `S256`.
        code_challenge: CodeChallenge,
        /// The thumbprint of the only key that may redeem the code (RFC 9449 §10).
        dpop_jkt: Option<String>,
    },
    /// To a device, which polls for it (RFC 8628).
    Device {
        /// SHA-256 of the device code.
        digest: Digest,
        /// As the device shows it.
        user_code: String,
        /// The address that asked.
        address: String,
        /// When both codes stop working.
        expires_at: UnixSeconds,
    },
}

impl AuthorizationRequest {
    /// The redirect URI, exactly as requested; `None` when a device waits.
    pub(crate) fn redirect_uri(&self) -> Option<&str> {
        match &self.answer {
            Answer::Redirect { redirect_uri, .. } => Some(redirect_uri),
            Answer::Device { .. } => None,
        }
    }

    /// Whether the device that asked has stopped waiting.
    pub(crate) fn device_has_expired(&self, now: UnixSeconds) -> bool {
        matches!(&self.answer, Answer::Device { expires_at, .. } if *expires_at <= now)
    }
}

/// Where an answer goes: known as soon as client and redirect URI have been checked.
#[derive(Debug, Clone)]
pub(crate) struct ReturnTo {
    /// How the client became known: whether it may be redirected to.
    pub(crate) source: ClientSource,
    /// Its redirect URI, exactly as requested.
    pub(crate) redirect_uri: String,
    /// `state`, unless it cannot be given back.
    pub(crate) state: Option<String>,
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody knows where to send the error: a page (RFC 6749 §4.1.2.1).
    Page(PageError),
    /// The client may be told, if it is one that is redirected to without a person's doing.
    Client(ReturnTo, OAuthError),
}

impl<E: Into<PageError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Page(error.into())
    }
}

impl AuthorizationRequest {
    /// Reads and checks a request.
    pub(crate) async fn parse(
        ctx: &Context,
        info: &RequestInfo,
        parameters: &Parameters,
    ) -> Result<(Self, Arc<Client>), Refusal> {
        // Who asks, and where the answer would go: as long as these are not certain, nothing is sent anywhere.
        let client_id = parameters.require("client_id")?;
        let client = ctx.clients.resolve(client_id, info.address).await?;
        info.note_client(client_id);
        let return_to = return_to(&client, parameters)?;
        let checked = async {
            refuse_front_channel(ctx, &client)?;
            check(ctx, parameters, &client, &return_to).await
        };
        match checked.await {
            Ok(request) => Ok((request, client)),
            // A fault of ours is not the client's business.
            Err(error) if error.status() >= 500 => Err(error.into()),
            Err(error) => Err(Refusal::Client(return_to, error)),
        }
    }

    /// Reads and checks a request that its client sends in advance (RFC 9126 §2.1): by the same rules, and every error
    /// is the client's to be told.
    pub(crate) async fn pushed(
        ctx: &Context,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Self, OAuthError> {
        let return_to = return_to(client, parameters)?;
        check(ctx, parameters, client, &return_to).await
    }
}

/// RFC 9126 §5, §6: who has to send requests in advance does not get away without.
fn refuse_front_channel(ctx: &Context, client: &Client) -> Result<(), OAuthError> {
    let par = &ctx.settings.par;
    if par.enabled && (par.required || client.metadata.require_pushed_authorization_requests) {
        return Err(invalid_request(
            "Authorization requests have to be pushed (RFC 9126): post the parameters to pushed_authorization_request_endpoint and send the request_uri.",
        ));
    }
    Ok(())
}

fn return_to(client: &Client, parameters: &Parameters) -> Result<ReturnTo, OAuthError> {
    let redirect_uri = redirect_uri(client, parameters.get("redirect_uri")?)?;
    let state = match parameters.get("state") {
        Ok(Some(state)) if state.len() > MAX_STATE => {
            return Err(invalid_request(
                "The state is longer than 2048 bytes. Send a shorter one.",
            ));
        }
        Ok(state) => state.map(str::to_owned),
        // Sent twice: reported further down, without a state that could be either.
        Err(_) => None,
    };
    Ok(ReturnTo {
        source: client.source,
        redirect_uri,
        state,
    })
}

/// The redirect URI of the request, if it is registered; without one, the only registered one, unless that
/// is a loopback URI, whose port only the client knows.
fn redirect_uri(client: &Client, requested: Option<&str>) -> Result<String, OAuthError> {
    match (requested, client.metadata.redirect_uris.as_slice()) {
        (Some(requested), _) if client.metadata.redirect_uri(requested).is_some() => Ok(requested.to_owned()),
        (None, [only]) if only.kind() != RedirectUriKind::Loopback => Ok(only.as_str().to_owned()),
        (Some(requested), _) => Err(invalid_request(
            "The redirect_uri is not registered for this client. Register it, character by character as it is sent.",
        )
        .with_internal(format_args!("not registered: {}", shown::uri(requested)))),
        (None, _) => Err(invalid_request(
            "The parameter redirect_uri is missing. Send a registered redirect URI.",
        )),
    }
}

async fn check(
    ctx: &Context,
    parameters: &Parameters,
    client: &Client,
    to: &ReturnTo,
) -> Result<AuthorizationRequest, OAuthError> {
    let duplicates = parameters.duplicates();
    if let Some(name) = SINGLE.into_iter().find(|name| duplicates.contains(name)) {
        return Err(invalid_request(format!(
            "The parameter {name} was sent more than once. Send it once."
        )));
    }
    check_kind(client, parameters)?;
    check_acr_values(parameters)?;
    let code_challenge = code_challenge(parameters)?;
    let prompt = prompt(parameters)?;
    let max_age = max_age(parameters)?;

    let may_refresh = client.metadata.may_use(GrantType::RefreshToken);
    let (targets, scopes) = what(ctx, parameters, may_refresh).await?;
    let login_hint = parameters.get("login_hint")?;
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        answer: Answer::Redirect {
            redirect_uri: to.redirect_uri.clone(),
            state: to.state.clone(),
            code_challenge,
            dpop_jkt: dpop_jkt(parameters)?,
        },
        resource: targets.first().uri.clone(),
        more_resources: targets.more_uris(),
        scopes,
        prompt,
        // Where the resource demands it of everybody, the shorter one counts.
        max_age: max_age.into_iter().chain(targets.max_auth_age()).min(),
        login_hint: login_hint
            .filter(|hint| hint.len() <= MAX_EMAIL)
            .map(str::to_owned),
    })
}

/// The resources of a request, and the scopes that it asks for. Staying connected is not for clients that may not refresh.
pub(crate) async fn what(
    ctx: &Context,
    parameters: &Parameters,
    may_refresh: bool,
) -> Result<(Targets, ScopeSet), OAuthError> {
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let targets = ctx.resources.resolve_all(&requested).await?;
    let scopes = select_scopes(&targets.merged(), parameters.get("scope")?)?;
    let asked = scopes
        .iter()
        .filter(|scope| may_refresh || scope.as_str() != OFFLINE_ACCESS);
    Ok((targets, asked.cloned().collect()))
}

/// RFC 9449 §10: the SHA-256 thumbprint of a key.
fn dpop_jkt(parameters: &Parameters) -> Result<Option<String>, OAuthError> {
    let Some(value) = parameters.get("dpop_jkt")? else {
        return Ok(None);
    };
    if value.len() == 43 && base64url::decode(value).is_ok_and(|digest| digest.len() == 32) {
        return Ok(Some(value.to_owned()));
    }
    Err(invalid_request(
        "The dpop_jkt must be the base64url-encoded SHA-256 thumbprint of a key (RFC 7638).",
    ))
}

/// RFC 9470 §5: a class that cannot be reached here is refused rather than missed.
fn check_acr_values(parameters: &Parameters) -> Result<(), OAuthError> {
    match parameters.get("acr_values")? {
        Some(wanted) if !acr::can_reach(wanted) => Err(OAuthError::new(
            ErrorCode::UnmetAuthenticationRequirements,
            "None of the acr_values can be reached here; see acr_values_supported in the server's metadata.",
        )),
        _ => Ok(()),
    }
}

/// What is asked for, and whether this client may ask for it.
fn check_kind(client: &Client, parameters: &Parameters) -> Result<(), OAuthError> {
    // Ignoring these would mean answering another request than the client signed (RFC 9101 §6).
    if parameters.get("request")?.is_some() {
        return Err(OAuthError::new(
            ErrorCode::RequestNotSupported,
            "Request objects are not supported. Send the parameters in the query.",
        ));
    }
    if parameters.get("request_uri")?.is_some() {
        return Err(OAuthError::new(
            ErrorCode::InvalidRequestUri,
            "This request_uri is not one that was given out here. Push the request to pushed_authorization_request_endpoint (RFC 9126).",
        ));
    }
    if parameters.require("response_type")? != "code" {
        return Err(OAuthError::new(
            ErrorCode::UnsupportedResponseType,
            "Only response_type=code is supported.",
        ));
    }
    if parameters
        .get("response_mode")?
        .is_some_and(|mode| mode != "query")
    {
        return Err(invalid_request(
            "Only response_mode=query is supported. Leave the parameter out.",
        ));
    }
    if !client.metadata.may_use(GrantType::AuthorizationCode) {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "This client is not registered for the grant type authorization_code. Register it with the grant.",
        ));
    }
    Ok(())
}

/// PKCE with `S256`, for every client (OAuth 2.1 §4.1.1).
fn code_challenge(parameters: &Parameters) -> Result<CodeChallenge, OAuthError> {
    let challenge = parameters.get("code_challenge")?.ok_or_else(|| {
        invalid_request(
            "The parameter code_challenge is missing. Send a PKCE challenge with code_challenge_method=S256.",
        )
    })?;
    Ok(CodeChallenge::parse(
        challenge,
        parameters.get("code_challenge_method")?,
    )?)
}

fn prompt(parameters: &Parameters) -> Result<Prompt, OAuthError> {
    let Some(value) = parameters.get("prompt")? else {
        return Ok(Prompt::default());
    };
    Prompt::parse(value).ok_or_else(|| {
        invalid_request("The prompt must be none, or a combination of login, consent and select_account.")
    })
}

fn max_age(parameters: &Parameters) -> Result<Option<u32>, OAuthError> {
    let Some(value) = parameters.get("max_age")? else {
        return Ok(None);
    };
    // `parse` alone would take a plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| digits)
        .map(Some)
        .ok_or_else(|| invalid_request("The max_age must be a number of seconds, without a sign."))
}

fn invalid_request(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}
