use doorward_oauth::client::is_invisible;
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
    let is_hidden = |c: char| c.is_control() || is_invisible(c);
    if name.trim().is_empty() || name.len() > LONGEST || name.contains(is_hidden) {
        return Err(AdminError::Invalid(format!(
            "{member} must be 1 to {LONGEST} bytes without control characters and characters that nobody sees."
        )));
    }
    Ok(())
}
