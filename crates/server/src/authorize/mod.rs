//! `/oauth/authorize` and `/consent`: from a client's request, through the person's login and decision, to a
//! code.

mod approval;
mod browser;
pub mod consent;
mod endpoint;
mod pending;
mod prompt;
mod remembered;
mod request;
mod response;
mod visit;

pub use browser::Browser;
pub use endpoint::{get, post};
pub use response::{own_page, see_other};
pub use visit::Visit;
