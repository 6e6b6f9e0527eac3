//! What is shown when something cannot go on.

use askama::Template;

use super::assets;

/// The error page.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// What happened, in a few words.
    pub(crate) title: String,
    /// What to do about it.
    pub(crate) message: String,
    /// The id under which the log knows more.
    pub(crate) error_id: String,
}

impl ErrorPage {
    /// The page's text.
    pub(crate) fn html(&self) -> String {
        super::html(self)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: String::new(),
            title: "This request cannot be completed".to_owned(),
            message:
                "The redirect URI is not registered for this client; register it or use a registered one."
                    .to_owned(),
            error_id: "5f1c09d2a77b4e10".to_owned(),
        }
    }
}
