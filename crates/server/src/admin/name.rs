use doorward_store::MAX_CLIENT_ID;

use super::error::AdminError;

/// The longest name that people are shown, in bytes.
const LONGEST: usize = 200;

/// Whether a text can be a `client_id`, here or elsewhere.
pub(super) fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CLIENT_ID && !text.contains(char::is_control)
}

/// Checks a name that people are shown; `member` is what the request calls it.
pub(super) fn check(member: &str, name: &str) -> Result<(), AdminError> {
    if name.trim().is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
        return Err(AdminError::Invalid(format!(
            "{member} must be 1 to {LONGEST} bytes without control characters."
        )));
    }
    Ok(())
}
