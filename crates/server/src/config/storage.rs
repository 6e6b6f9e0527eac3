//! `[storage]`

use super::section::section;

section! {
    /// Where everything is kept.
    pub struct Storage in "storage" {
        /// The database: `sqlite://` and a path (relative to the working directory, or absolute with a third slash).
        url: String = "sqlite://data/doorward.db".to_owned(),
    }
}
