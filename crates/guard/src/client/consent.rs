//! When a person has to agree first: from the authorization server's refusal to what an MCP client understands.
//!
//! Up to the revision 2025-11-25 that is the error `-32042` with the pages to open; from 2026-07-28 on it is an
//! `input_required` result, and the client comes back with the `requestState` that it was given.

use std::fmt;

use doorward_oauth::time::UnixSeconds;
use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::answer::{described, printable};
use super::error::ClientError;
use super::random;
use super::request_state::{BoundRequest, LIFETIME, Principal, RequestStates};

/// `URLElicitationRequiredError` (MCP 2025-11-25)
pub const URL_ELICITATION_REQUIRED: i32 = -32042;
/// What a client is told whose revision or capabilities have no way to send a person to a page: JSON-RPC "invalid
/// request".
const NOT_POSSIBLE: i32 = -32600;
/// The first revision with `input_required` results.
const INPUT_REQUIRED_SINCE: &str = "2026-07-28";
/// The first revision whose clients say whether they can open a page.
const URL_ELICITATION_SINCE: &str = "2025-11-25";
/// The key of the one input request.
pub(crate) const INPUT: &str = "consent";
const MAX_URL: usize = 2048;

/// The authorization server refuses an exchange until a person has agreed, mostly to connecting an account at another
/// service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsentRequired {
    /// The service that the consent is about, for people: `service_id`, `service` or `resource` of the answer, else
    /// `unknown_service`.
    pub service: String,
    /// Why (`cause` of the answer), for people.
    pub cause: Option<String>,
    /// The page where the person agrees. `https`, without user name; left out when the server's is not.
    pub consent_url: Option<String>,
    /// `error_description` of the answer.
    pub description: Option<String>,
    code: &'static str,
}

impl ConsentRequired {
    /// For frameworks that bring their own errors: `consent_required` about `service`, without cause, page or description.
    /// A page that is set is taken as it is.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            cause: None,
            consent_url: None,
            description: None,
            code: "consent_required",
        }
    }

    pub(crate) fn read(code: &str, members: &Map<String, Value>, issuer_is_loopback: bool) -> Self {
        let text = |name| {
            let text = members.get(name).and_then(Value::as_str)?;
            Some(printable(text)).filter(|text| !text.is_empty())
        };
        let service = ["service_id", "service", "resource"].into_iter().find_map(text);
        let url = members.get("consent_url").and_then(Value::as_str);
        Self {
            service: service.unwrap_or_else(|| "unknown_service".to_owned()),
            cause: text("cause"),
            consent_url: url
                .filter(|url| may_be_opened(url, issuer_is_loopback))
                .map(str::to_owned),
            description: described(members),
            code: if code == "interaction_required" {
                "interaction_required"
            } else {
                "consent_required"
            },
        }
    }

    /// `consent_required` or `interaction_required`
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the person reads next to the address.
    pub fn message(&self) -> String {
        let what = self
            .description
            .as_deref()
            .unwrap_or("Your consent is needed to go on");
        match &self.cause {
            Some(cause) => format!("{what} ({}: {cause})", self.service),
            None => format!("{what} ({})", self.service),
        }
    }

    /// What the MCP client is answered: see [`OAuthClient::consent_answer`](super::OAuthClient::consent_answer).
    pub(crate) fn to_mcp(
        &self,
        call: &McpCall<'_>,
        states: &RequestStates,
        now: UnixSeconds,
    ) -> Result<McpAnswer, ClientError> {
        let Some(url) = self.consent_url.as_deref() else {
            return Ok(self.plain_error());
        };
        // Revisions are dates, and dates of this form sort as text.
        if call.protocol_version < INPUT_REQUIRED_SINCE {
            let declined =
                call.protocol_version >= URL_ELICITATION_SINCE && call.url_elicitation == Some(false);
            return if declined {
                Ok(self.plain_error())
            } else {
                self.elicitation_error(url)
            };
        }
        let allowed = matches!(call.method, "tools/call" | "resources/read" | "prompts/get");
        if !allowed || call.url_elicitation != Some(true) {
            return Ok(self.plain_error());
        }
        let request = BoundRequest {
            principal: call.principal,
            method: call.method,
            params: call.params,
        };
        let state = states
            .seal(&request, self.service.as_bytes(), now + LIFETIME)
            .map_err(|_| ClientError::Request("the request state could not be sealed"))?;
        Ok(McpAnswer::InputRequired {
            url: url.to_owned(),
            message: self.message(),
            request_state: state,
        })
    }

    fn elicitation_error(&self, url: &str) -> Result<McpAnswer, ClientError> {
        Ok(McpAnswer::Error {
            code: URL_ELICITATION_REQUIRED,
            message: self.to_string(),
            data: Some(json!({"elicitations": [{
                "mode": "url",
                "message": self.message(),
                "url": url,
                "elicitationId": random::uuid()?,
            }]})),
        })
    }

    fn plain_error(&self) -> McpAnswer {
        McpAnswer::Error {
            code: NOT_POSSIBLE,
            message: self.to_string(),
            data: Some(json!({"error": self.code, "service": self.service})),
        }
    }
}

impl fmt::Display for ConsentRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("doorward: token exchange: ")?;
        f.write_str(&self.message())
    }
}

impl std::error::Error for ConsentRequired {}

/// `https`, or `http` on loopback in development; nothing that could hide where it leads.
fn may_be_opened(url: &str, issuer_is_loopback: bool) -> bool {
    if url.len() > MAX_URL || !url.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return false;
    }
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback && issuer_is_loopback);
    secure && url.username().is_empty() && url.password().is_none()
}

/// The MCP request during which consent turned out to be missing.
#[derive(Debug, Clone, Copy)]
pub struct McpCall<'a> {
    /// The revision that the request is made in, such as `2025-11-25`.
    pub protocol_version: &'a str,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// Its parameters.
    pub params: &'a Value,
    /// Who makes it.
    pub principal: &'a Principal,
    /// Whether the client declared `elicitation.url`; `None` where the server cannot tell.
    pub url_elicitation: Option<bool>,
}

/// The answer to an MCP client, for any framework.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum McpAnswer {
    /// A JSON-RPC error.
    Error {
        /// `code`
        code: i32,
        /// `message`
        message: String,
        /// `data`
        data: Option<Value>,
    },
    /// A result with `resultType: "input_required"` and one URL to open.
    InputRequired {
        /// The page.
        url: String,
        /// What the person reads next to its address.
        message: String,
        /// What the client brings back.
        request_state: String,
    },
}

impl McpAnswer {
    /// The member `error` or `result` of the JSON-RPC response: its name and its value.
    pub fn to_json(&self) -> (&'static str, Value) {
        match self {
            Self::Error { code, message, data } => {
                let mut error = json!({"code": code, "message": message});
                if let (Some(members), Some(data)) = (error.as_object_mut(), data) {
                    members.insert("data".to_owned(), data.clone());
                }
                ("error", error)
            }
            Self::InputRequired {
                url,
                message,
                request_state,
            } => {
                let request = json!({
                    "method": "elicitation/create",
                    "params": {"mode": "url", "url": url, "message": message},
                });
                let result = json!({
                    "resultType": "input_required",
                    "inputRequests": {INPUT: request},
                    "requestState": request_state,
                });
                ("result", result)
            }
        }
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
