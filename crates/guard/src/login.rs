//! How and when the person must have signed in (RFC 9470).

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use serde_json::Value;

use crate::builder::GuardBuilder;
use crate::claims::Claims;

/// What is asked of the sign-in behind a token.
#[derive(Debug, Default)]
pub(crate) struct LoginPolicy {
    pub(crate) max_age: Option<Duration>,
    /// Any of these will do; none means that it does not matter.
    pub(crate) acr_values: Vec<String>,
}

/// What is wrong with the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginFault {
    TooOld,
    TooWeak,
}

impl LoginPolicy {
    /// A token that does not say how or when the person signed in does not fulfil what is asked, and neither does one that
    /// says that it was later than now: it would be recent for ever.
    pub(crate) fn check(&self, claims: &Claims, now: UnixSeconds, skew: Duration) -> Result<(), LoginFault> {
        let is_strong = self.acr_values.is_empty()
            || claims
                .raw
                .get("acr")
                .and_then(Value::as_str)
                .is_some_and(|acr| self.acr_values.iter().any(|value| value == acr));
        if !is_strong {
            return Err(LoginFault::TooWeak);
        }
        let is_recent = self.max_age.is_none_or(|max_age| {
            claims
                .auth_time
                .is_some_and(|signed_in| signed_in <= now + skew && now.since(signed_in) <= max_age)
        });
        if is_recent {
            Ok(())
        } else {
            Err(LoginFault::TooOld)
        }
    }
}

impl GuardBuilder {
    /// The person must have signed in at most `max_age` ago (`auth_time` of the token, no further ahead than the clock skew).
    /// Else the answer is `401` `insufficient_user_authentication`, with which clients send the person to sign in again
    /// (RFC 9470). Default: it does not matter.
    #[must_use]
    pub fn require_recent_login(mut self, max_age: Duration) -> Self {
        self.login.max_age = Some(max_age);
        self
    }

    /// The person must have signed in in one of these ways (`acr` of the token; authentication context class
    /// references of the authorization server), the most wanted first. Else as
    /// [`require_recent_login`](Self::require_recent_login). Default: it does not matter.
    #[must_use]
    pub fn require_acr<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Self {
        self.login.acr_values = values.into_iter().map(Into::into).collect();
        self
    }
}
