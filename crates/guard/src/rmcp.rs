//! For MCP servers made with rmcp.

use ::rmcp::ErrorData;
use ::rmcp::RoleServer;
use ::rmcp::model::ErrorCode;
use ::rmcp::service::RequestContext;
use http::request::Parts;

use crate::claims::{Claims, MissingScope};
pub use crate::client::{ask_for_consent, open_request_state, subject_token};

/// The claims of the token with which the request came, inside a handler of rmcp.
///
/// # Errors
/// An internal error when the server is not behind a guard, so that a handler that forgets to check fails closed.
pub fn claims(context: &RequestContext<RoleServer>) -> Result<&Claims, ErrorData> {
    context
        .extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<Claims>())
        .ok_or_else(|| {
            tracing::error!("a handler asks for claims on a server without a guard");
            ErrorData::internal_error("this MCP server is not set up correctly", None)
        })
}

impl From<MissingScope> for ErrorData {
    /// An MCP error with the needed scopes in `data`.
    fn from(missing: MissingScope) -> Self {
        let data = serde_json::json!({"error": "insufficient_scope", "scope": missing.needed().to_string()});
        Self::new(ErrorCode::INVALID_REQUEST, missing.to_string(), Some(data))
    }
}
