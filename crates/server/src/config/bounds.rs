//! Between what each length of time has to be: checked, and told in the reference.

use std::fmt;

use super::{Settings, Span, Tokens};

/// Ten years: longer than anything is meant to last.
const LONGEST: Span = Span::days(3660);

/// One end of a range.
#[derive(Debug, Clone, Copy)]
enum End {
    Time(Span),
    /// Another setting, and what it is.
    Setting(&'static str, Span),
}

impl End {
    const fn time(self) -> Span {
        match self {
            Self::Time(time) | Self::Setting(_, time) => time,
        }
    }
}

impl From<Span> for End {
    fn from(time: Span) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "`{time}`"),
            Self::Setting(key, _) => write!(f, "`{key}`"),
        }
    }
}

/// A length of time that is set, and between what it has to be.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) key: &'static str,
    value: Span,
    least: End,
    most: End,
}

impl Bound {
    fn new(key: &'static str, value: Span, least: impl Into<End>, most: impl Into<End>) -> Self {
        Self {
            key,
            value,
            least: least.into(),
            most: most.into(),
        }
    }

    /// What is wrong with it, if anything is.
    pub(super) fn violation(&self) -> Option<String> {
        let (least, most) = (self.least.time(), self.most.time());
        let named = |end| match end {
            End::Time(time) => time.to_string(),
            End::Setting(key, time) => format!("{time} (`{key}`)"),
        };
        (self.value < least || self.value > most).then(|| {
            let (least, most) = (named(self.least), named(self.most));
            format!("is {}; it must be between {least} and {most}", self.value)
        })
    }
}

/// The range, as the reference tells it.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.least, self.most)
    }
}

/// All of them.
pub(super) fn bounds(settings: &Settings) -> Vec<Bound> {
    let mut all = lifetimes(settings);
    all.extend(waits(settings));
    all
}

/// What is given out, and for how long.
fn lifetimes(settings: &Settings) -> Vec<Bound> {
    let (tokens, minute) = (&settings.tokens, Span::minutes(1));
    vec![
        Bound::new(
            "tokens.access_ttl",
            tokens.access_ttl,
            Span::seconds(10),
            Tokens::LONGEST_ACCESS_TTL,
        ),
        Bound::new(
            "tokens.code_ttl",
            tokens.code_ttl,
            Span::seconds(5),
            Span::minutes(10),
        ),
        Bound::new(
            "tokens.refresh_absolute_ttl",
            tokens.refresh_absolute_ttl,
            End::Setting("tokens.access_ttl", tokens.access_ttl),
            LONGEST,
        ),
        Bound::new(
            "tokens.refresh_idle_ttl",
            tokens.refresh_idle_ttl,
            minute,
            End::Setting("tokens.refresh_absolute_ttl", tokens.refresh_absolute_ttl),
        ),
        Bound::new(
            "tokens.refresh_retry_window",
            tokens.refresh_retry_window,
            Span::seconds(0),
            Span::minutes(10),
        ),
        Bound::new(
            "client_authentication.max_assertion_lifetime",
            settings.client_authentication.max_assertion_lifetime,
            minute,
            Span::hours(1),
        ),
        Bound::new(
            "dpop.proof_lifetime",
            settings.dpop.proof_lifetime,
            Span::seconds(10),
            Span::minutes(10),
        ),
        Bound::new(
            "par.request_ttl",
            settings.par.request_ttl,
            Span::seconds(5),
            Span::minutes(10),
        ),
        Bound::new(
            "device.code_ttl",
            settings.device.code_ttl,
            minute,
            Span::minutes(15),
        ),
        Bound::new(
            "device.interval",
            settings.device.interval,
            Span::seconds(2),
            minute,
        ),
    ]
}

/// How long the server waits and remembers.
fn waits(settings: &Settings) -> Vec<Bound> {
    let Settings {
        session,
        login,
        storage,
        ..
    } = settings;
    let (second, minute) = (Span::seconds(1), Span::minutes(1));
    vec![
        Bound::new(
            "keys.publish_ahead",
            settings.keys.publish_ahead,
            Span::minutes(10),
            Span::days(30),
        ),
        Bound::new(
            "server.idle_timeout",
            settings.server.idle_timeout,
            Span::seconds(5),
            Span::hours(1),
        ),
        Bound::new(
            "server.shutdown_delay",
            settings.server.shutdown_delay,
            Span::seconds(0),
            Span::minutes(5),
        ),
        Bound::new(
            "audit.retention",
            settings.audit.retention,
            Span::hours(1),
            LONGEST,
        ),
        Bound::new(
            "events.connection_ttl",
            settings.events.connection_ttl,
            minute,
            Span::days(1),
        ),
        Bound::new("storage.retention", storage.retention, Span::days(2), LONGEST),
        Bound::new("session.absolute_ttl", session.absolute_ttl, minute, LONGEST),
        Bound::new(
            "session.idle_ttl",
            session.idle_ttl,
            minute,
            End::Setting("session.absolute_ttl", session.absolute_ttl),
        ),
        Bound::new(
            "login.first_wait",
            login.first_wait,
            second,
            End::Setting("login.longest_wait", login.longest_wait),
        ),
        Bound::new("login.longest_wait", login.longest_wait, second, Span::hours(1)),
        Bound::new(
            "login.forget_after",
            login.forget_after,
            End::Setting("login.longest_wait", login.longest_wait),
            Span::days(7),
        ),
        // A request has half a minute.
        Bound::new(
            "storage.connection_wait",
            storage.connection_wait,
            second,
            Span::seconds(20),
        ),
        Bound::new("storage.connect_timeout", storage.connect_timeout, second, minute),
        Bound::new(
            "storage.statement_timeout",
            storage.statement_timeout,
            second,
            // A statement that gets no answer is tried again while the request has time.
            Span::seconds(10),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_time_has_bounds_and_a_default_within_them() {
        let bounds = bounds(&Settings::default());
        for key in Settings::registry() {
            let bound = bounds.iter().find(|bound| bound.key == key.path());
            assert_eq!(
                key.kind.starts_with("a length of time such as `90s`"),
                bound.is_some(),
                "{}",
                key.path()
            );
        }
        for bound in bounds {
            assert_eq!(bound.violation(), None, "{}", bound.key);
        }
    }

    #[test]
    fn a_bound_that_is_another_setting_is_named() {
        let mut settings = Settings::default();
        settings.session.absolute_ttl = Span::hours(1);
        let wrong: Vec<_> = bounds(&settings)
            .iter()
            .filter_map(|bound| Some((bound.key, bound.violation()?)))
            .collect();
        let why = "is 12h; it must be between 1m and 1h (`session.absolute_ttl`)";
        assert_eq!(wrong, [("session.idle_ttl", why.to_owned())]);
    }
}
