//! Whether a token that is otherwise good was revoked meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::builder::GuardBuilder;
use crate::claims::Claims;
use crate::verify::{Rejection, VerifyError};

/// Says whether a token was revoked before its end.
pub trait RevocationChecker: Send + Sync {
    /// Whether the verified `token` was revoked. Asked for every request, so the answer should be at hand.
    ///
    /// # Errors
    /// [`RevocationUnavailable`] when nobody can tell: the request is then answered with `503`. A checker that prefers to
    /// let requests through answers `false`.
    fn is_revoked<'a>(
        &'a self,
        claims: &'a Claims,
        token: &'a str,
    ) -> BoxFuture<'a, Result<bool, RevocationUnavailable>>;

    /// Completes as soon as it is known that the token was revoked, to end event streams that are open by then. `None`,
    /// the default, when nobody will tell.
    fn revoked(&self, _claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// Whether the token was revoked cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody can tell whether the access token was revoked")]
pub struct RevocationUnavailable {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// How a guard learns of revocations.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Revocation {
    /// Not at all: tokens count until they end by themselves.
    #[default]
    Off,
    /// It asks this.
    Checker(Arc<dyn RevocationChecker>),
}

/// What the builder's choice became.
pub(crate) enum Revocations {
    Off,
    Checker(Arc<dyn RevocationChecker>),
}

impl Revocations {
    pub(crate) fn new(choice: Revocation) -> Self {
        match choice {
            Revocation::Off => Self::Off,
            Revocation::Checker(checker) => Self::Checker(checker),
        }
    }

    /// The last question about a token that is otherwise good.
    pub(crate) async fn check(&self, claims: &Claims, token: &str) -> Result<(), VerifyError> {
        match self {
            Self::Off => Ok(()),
            Self::Checker(checker) => match checker.is_revoked(claims, token).await {
                Ok(false) => Ok(()),
                Ok(true) => Err(Rejection::Revoked.into()),
                Err(RevocationUnavailable { retry_after }) => {
                    Err(VerifyError::IntrospectionUnavailable { retry_after })
                }
            },
        }
    }

    /// Completes when the token turns out to be revoked; `None` when nobody will tell.
    pub(crate) fn revoked(&self, claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        match self {
            Self::Off => None,
            Self::Checker(checker) => checker.revoked(claims),
        }
    }
}

impl GuardBuilder {
    /// How the guard learns that a token was revoked before its end. Default: [`Revocation::Off`].
    #[must_use]
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }
}
