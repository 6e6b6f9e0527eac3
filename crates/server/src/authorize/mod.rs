//! `/oauth/authorize` and `/consent`: from a client's request, through the person's login and decision, to a
//! code.

mod approval;
mod browser;
pub(crate) mod consent;
mod endpoint;
pub(crate) mod par;
mod pending;
mod prompt;
mod remembered;
mod request;
mod response;
mod visit;

pub(crate) use browser::Browser;
pub(crate) use endpoint::{ask, get, post};
pub(crate) use pending::Pending;
pub(crate) use prompt::Prompt;
pub(crate) use request::{Answer, AuthorizationRequest, what};
pub(crate) use response::{own_page, see_other};
pub(crate) use visit::Visit;
