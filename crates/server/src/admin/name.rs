use doorward_store::MAX_CLIENT_ID;

use super::error::AdminError;
use crate::names::{MAX_NAME, is_name};

/// Whether a text can be a `client_id`, here or elsewhere.
pub(super) fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CLIENT_ID && !text.contains(char::is_control)
}

/// Checks a name that people are shown; `member` is what the request calls it.
pub(super) fn check(member: &str, name: &str) -> Result<(), AdminError> {
    if !is_name(name) {
        return Err(AdminError::Invalid(format!(
            "{member} must be 1 to {MAX_NAME} bytes without control characters and characters that nobody sees."
        )));
    }
    Ok(())
}
