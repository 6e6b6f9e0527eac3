//! An authorization request (OAuth 2.1 §4.1.1), read and checked in the order that decides where errors go:
//! first who asks and where the answer would be sent, then everything else.

use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::pkce::CodeChallenge;
use doorward_oauth::redirect::RedirectUriKind;
use doorward_oauth::scope::ScopeSet;
use doorward_store::ClientSource;
use serde::{Deserialize, Serialize};

use super::prompt::Prompt;
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::PageError;
use crate::http::request::RequestInfo;
use crate::resources::select_scopes;

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;
/// The longest `login_hint`, in bytes: no e-mail address is longer.
const MAX_LOGIN_HINT: usize = 254;

/// The parameters that are read and must not come twice. Unknown ones are ignored, however often they come
/// (RFC 6749 §3.1); `resource` may repeat (RFC 8707 §2).
const SINGLE: [&str; 11] = [
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
    /// Where the answer goes, exactly as requested.
    pub(crate) redirect_uri: String,
    /// Given back byte for byte.
    pub(crate) state: Option<String>,
    /// PKCE, `S256`.
    pub(crate) code_challenge: CodeChallenge,
    /// The resource, as registered.
    pub(crate) resource: String,
    /// What the person is asked to allow.
    pub(crate) scopes: ScopeSet,
    /// What the person is to be shown.
    pub(crate) prompt: Prompt,
    /// How long ago the person may have signed in, in seconds.
    pub(crate) max_age: Option<u32>,
    /// Goes into the e-mail field.
    pub(crate) login_hint: Option<String>,
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
    ) -> Result<(Self, Client), Refusal> {
        // Who asks, and where the answer would go: as long as these are not certain, nothing is sent anywhere.
        let client_id = parameters.require("client_id")?;
        let client = ctx.clients.resolve(client_id, info.address).await?;
        let return_to = return_to(&client, parameters)?;
        match check(ctx, parameters, &client, &return_to).await {
            Ok(request) => Ok((request, client)),
            // A fault of ours is not the client's business.
            Err(error) if error.status() >= 500 => Err(error.into()),
            Err(error) => Err(Refusal::Client(return_to, error)),
        }
    }
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
        (Some(_), _) => Err(invalid_request(
            "The redirect_uri is not registered for this client. Register it, character by character as it is sent.",
        )),
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
    let code_challenge = code_challenge(parameters)?;
    let prompt = prompt(parameters)?;
    let max_age = max_age(parameters)?;

    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let resource = ctx.resources.resolve(&requested).await?;
    let scopes = select_scopes(&resource, parameters.get("scope")?)?;
    let login_hint = parameters.get("login_hint")?;
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri: to.redirect_uri.clone(),
        state: to.state.clone(),
        code_challenge,
        resource: resource.uri.clone(),
        scopes,
        prompt,
        max_age,
        login_hint: login_hint
            .filter(|hint| hint.len() <= MAX_LOGIN_HINT)
            .map(str::to_owned),
    })
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
            ErrorCode::RequestUriNotSupported,
            "The parameter request_uri is not supported. Send the parameters in the query.",
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
