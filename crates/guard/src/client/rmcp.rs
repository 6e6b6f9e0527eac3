//! Missing consent in handlers of rmcp.

use ::rmcp::model::{
    ElicitRequest, ElicitRequestParams, ErrorCode, Implementation, InputRequest, InputRequests,
    InputRequiredResult,
};
use ::rmcp::service::RequestContext;
use ::rmcp::{ErrorData, RoleServer};
use serde::Serialize;
use serde_json::Value;

use super::consent::INPUT;
use super::{BoundRequest, ConsentRequired, McpAnswer, McpCall, OAuthClient, Principal, SubjectToken};
use crate::claims::Claims;

/// Clients that do not say which revision they speak get what the last one with a handshake has.
const UNSAID: &str = "2025-11-25";

/// What a handler answers when an exchange needs a person's consent first: by the request's revision the MCP error
/// `-32042`, or a result that asks the client to open the page and to come back with `requestState`. A client that did
/// not declare that it can open pages gets a plain error, and so does one that comes back from a person who did not
/// agree.
///
/// `params` are the parameters of the request for `method`: `tools/call`
/// ([`CallToolRequestParams`](::rmcp::model::CallToolRequestParams)), `prompts/get`
/// ([`GetPromptRequestParams`](::rmcp::model::GetPromptRequestParams)) or `resources/read`
/// ([`ReadResourceRequestParams`](::rmcp::model::ReadResourceRequestParams)). The handlers of all three can return the
/// result (`.map(Into::into)`); for any other method it is a plain error.
///
/// # Errors
/// Every answer but the result.
pub fn ask_for_consent(
    client: &OAuthClient,
    consent: &ConsentRequired,
    context: &RequestContext<RoleServer>,
    method: &str,
    params: &impl Serialize,
) -> Result<InputRequiredResult, ErrorData> {
    let version = context.protocol_version();
    let params = as_json(params)?;
    let call = McpCall {
        protocol_version: version.as_ref().map_or(UNSAID, |version| version.as_str()),
        method,
        params: &params,
        principal: &principal(context)?,
        // Whoever has declined is not asked again and again.
        url_elicitation: if is_declined(&params) {
            Some(false)
        } else {
            declares_url_elicitation(context)
        },
    };
    let answer = client.consent_answer(consent, &call).map_err(|error| {
        tracing::error!(%error, "consent could not be asked for");
        internal()
    })?;
    match answer {
        McpAnswer::Error { code, message, data } => Err(ErrorData::new(ErrorCode(code), message, data)),
        McpAnswer::InputRequired {
            url,
            message,
            request_state,
        } => {
            let request = ElicitRequest::new(ElicitRequestParams::UrlElicitationParams {
                meta: None,
                message,
                url,
                // The revision has none.
                elicitation_id: String::new(),
            });
            let requests = InputRequests::from([(INPUT.to_owned(), InputRequest::Elicitation(request))]);
            Ok(InputRequiredResult::new(Some(requests), Some(request_state)))
        }
    }
}

/// Checks the `requestState` that came back with a request, and returns what it carries: the service that the consent
/// was about.
///
/// # Errors
/// "Invalid params" for a state that was not made by this server for this person, client and request, or too long ago.
pub fn open_request_state(
    client: &OAuthClient,
    context: &RequestContext<RoleServer>,
    method: &str,
    params: &impl Serialize,
    state: &str,
) -> Result<Vec<u8>, ErrorData> {
    let request = BoundRequest {
        principal: &principal(context)?,
        method,
        params: &as_json(params)?,
    };
    client.open_request_state(state, &request).map_err(|error| {
        tracing::info!(%error, "request state refused");
        ErrorData::invalid_params(
            "The requestState is not valid. Send the request without it.",
            None,
        )
    })
}

/// Whether the person was asked and did not agree.
fn is_declined(params: &Value) -> bool {
    let action = &params["inputResponses"][INPUT]["action"];
    matches!(action.as_str(), Some("decline" | "cancel"))
}

/// `None` where it cannot be told: without sessions, rmcp stands in for the clients of older revisions, which say what
/// they can only once, in a handshake that nobody remembers.
fn declares_url_elicitation(context: &RequestContext<RoleServer>) -> Option<bool> {
    let own = context.meta.client_capabilities();
    let capabilities = own.or_else(|| {
        let peer = context.peer.peer_info()?;
        (peer.client_info != Implementation::default()).then(|| peer.capabilities.clone())
    })?;
    let elicitation = capabilities.elicitation;
    Some(elicitation.is_some_and(|elicitation| elicitation.url.is_some()))
}

/// The token with which the request came, for exchanging it.
///
/// # Errors
/// An internal error when the server is not behind a guard that can exchange tokens of this issuer
/// ([`client_auth`](crate::GuardBuilder::client_auth), and for the other issuers
/// [`issuer_client_auth`](crate::GuardBuilder::issuer_client_auth)).
pub fn subject_token(context: &RequestContext<RoleServer>) -> Result<&SubjectToken, ErrorData> {
    let parts = context.extensions.get::<http::request::Parts>();
    let token = parts.and_then(|parts| parts.extensions.get::<SubjectToken>());
    token.ok_or_else(|| {
        let claims = parts.and_then(|parts| parts.extensions.get::<Claims>());
        tracing::error!(
            issuer = claims.map(|claims| claims.issuer.as_str()),
            "a handler asks for the caller's token, and no guard with credentials at its issuer let the request through; give them with `client_auth`, for an issuer other than the first with `issuer_client_auth`"
        );
        ErrorData::internal_error("this MCP server is not set up correctly", None)
    })
}

fn principal(context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
    crate::rmcp::claims(context).map(Principal::from)
}

fn as_json(params: &impl Serialize) -> Result<Value, ErrorData> {
    serde_json::to_value(params).map_err(|_| internal())
}

fn internal() -> ErrorData {
    ErrorData::internal_error("this MCP server could not ask for consent", None)
}
