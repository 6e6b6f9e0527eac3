//! The parameters of a request: of a query, or of a form body (`application/x-www-form-urlencoded` and
//! nothing else).

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::{Parameters, ParametersError};

use super::error::TokenError;

const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of a query. A parameter that is there twice is refused where it is read.
pub(crate) fn query(RawQuery(query): RawQuery) -> Result<Parameters, ParametersError> {
    Parameters::parse(query.unwrap_or_default().as_bytes())
}

/// The parameters of a form body. A parameter that is there twice is refused where it is read
/// (RFC 6749 §3.2), and here already when it is one that no endpoint takes more than once.
pub(crate) fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Parameters, TokenError> {
    let parameters = read(headers, body)?;
    if parameters
        .duplicates()
        .iter()
        .any(|name| *name != "resource" && *name != "audience")
    {
        return Err(OAuthError::new(
            ErrorCode::InvalidRequest,
            "A parameter is there more than once; send each at most once.",
        )
        .into());
    }
    Ok(parameters)
}

/// The parameters of a form of which some may repeat, such as the boxes of a page.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Parameters, TokenError> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds
        .next()
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(FORM) || kinds.next().is_some() {
        return Err(TokenError::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            OAuthError::new(
                ErrorCode::InvalidRequest,
                "Send the parameters as a form: Content-Type: application/x-www-form-urlencoded.",
            ),
        ));
    }
    Ok(Parameters::parse(body)?)
}
