//! What counts as a name of somebody or something that people are shown.

use doorward_oauth::client::is_invisible;

/// The longest name, in bytes.
pub(crate) const MAX_NAME: usize = 200;

/// Whether a text can be such a name: nothing in it that nobody sees.
pub(crate) fn is_name(text: &str) -> bool {
    let is_hidden = |c: char| c.is_control() || is_invisible(c);
    !text.trim().is_empty() && text.len() <= MAX_NAME && !text.contains(is_hidden)
}
