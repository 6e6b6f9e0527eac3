//! What a guard asks for, and how it says so.

use crate::challenge::Challenges;
use crate::login::LoginPolicy;
use crate::scopes::ScopePolicy;

/// The terms of one protected resource.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) challenges: Challenges,
    pub(crate) scopes: ScopePolicy,
    pub(crate) login: LoginPolicy,
}
