//! Settings that look like settings and would let nothing pass, or protect nothing.

use super::{BuildError, GuardBuilder};
use crate::fetch::may_be_named;

impl GuardBuilder {
    pub(super) fn check_values(&self) -> Result<(), BuildError> {
        let zeros = [
            ("max_body", self.max_body == 0),
            ("max_stale", self.keys.max_stale.is_zero()),
            (
                "require_recent_login",
                self.login.max_age.is_some_and(|age| age.as_secs() == 0),
            ),
            (
                "session_limits",
                self.max_sessions == 0 || self.session_idle.is_zero(),
            ),
        ];
        if let Some((setting, _)) = zeros.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(BuildError::Zero(setting));
        }
        if let Some(url) = self
            .documentation
            .as_deref()
            .filter(|url| !may_be_named(url, true))
        {
            return Err(BuildError::Documentation(url.to_owned()));
        }
        // RFC 9470 §3: `acr_values` are separated by spaces.
        let is_acr = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        match self.login.acr_values.iter().find(|value| !is_acr(value)) {
            Some(value) => Err(BuildError::Acr(value.clone())),
            None => Ok(()),
        }
    }
}
