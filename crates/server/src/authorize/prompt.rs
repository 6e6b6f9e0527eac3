//! `prompt` (OpenID Connect Core §3.1.2.1): what the person is to be shown.

use serde::{Deserialize, Serialize};

/// What the person is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Prompt {
    /// Nothing at all: `none`.
    Nothing,
    /// What is needed, and what is asked for besides.
    Needed {
        /// `login`: the password again.
        login: bool,
        /// `consent` or `select_account`: the consent page, which shows the account and offers another.
        consent: bool,
    },
}

impl Default for Prompt {
    fn default() -> Self {
        Self::Needed {
            login: false,
            consent: false,
        }
    }
}

impl Prompt {
    /// Reads the parameter. `None` for unknown, repeated and contradictory values.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        if value == "none" {
            return Some(Self::Nothing);
        }
        let values: Vec<&str> = value.split(' ').collect();
        let known = |value: &&str| matches!(*value, "login" | "consent" | "select_account");
        let repeated = values
            .iter()
            .enumerate()
            .any(|(index, value)| values[..index].contains(value));
        if repeated || !values.iter().all(known) {
            return None;
        }
        Some(Self::Needed {
            login: values.contains(&"login"),
            consent: values.contains(&"consent") || values.contains(&"select_account"),
        })
    }

    /// Whether nothing may be shown.
    pub(crate) const fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether the person has to sign in again.
    pub(crate) const fn asks_login(self) -> bool {
        matches!(self, Self::Needed { login: true, .. })
    }

    /// Whether the consent page is shown whatever is remembered.
    pub(crate) const fn asks_consent(self) -> bool {
        matches!(self, Self::Needed { consent: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_combine() {
        assert_eq!(Prompt::parse("none"), Some(Prompt::Nothing));
        assert_eq!(
            Prompt::parse("login"),
            Some(Prompt::Needed {
                login: true,
                consent: false
            })
        );
        assert_eq!(
            Prompt::parse("select_account"),
            Some(Prompt::Needed {
                login: false,
                consent: true
            })
        );
        assert_eq!(
            Prompt::parse("consent login"),
            Some(Prompt::Needed {
                login: true,
                consent: true
            })
        );
    }

    #[test]
    fn unknown_repeated_and_contradictory_values_are_refused() {
        for value in [
            "none login",
            "consent none",
            "bogus",
            "LOGIN",
            "login login",
            "login  consent",
            " login",
            "none none",
        ] {
            assert_eq!(Prompt::parse(value), None, "{value:?}");
        }
    }
}
