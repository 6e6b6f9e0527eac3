//! `[cors]`

use super::section::section;

section! {
    /// Browser clients on other origins. Only the public JSON endpoints answer them, never with credentials.
    pub struct Cors in "cors" {
        /// The origins that may call, such as `https://app.example`; `*` is every origin, an empty list none.
        allowed_origins: Vec<String> = vec!["*".to_owned()],
    }
}
