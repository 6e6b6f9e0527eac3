//! Lengths of time as people write them: `90s`, `15m`, `12h`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::value::{Value, quoted};

/// A length of time in whole seconds, at most ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u32);

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;
const LONGEST: u32 = 3660 * DAY;

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// So many minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self(minutes * MINUTE)
    }

    /// So many hours.
    pub const fn hours(hours: u32) -> Self {
        Self(hours * HOUR)
    }

    /// So many days.
    pub const fn days(days: u32) -> Self {
        Self(days * DAY)
    }

    /// The same as a [`Duration`].
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.duration()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected {}", Self::KIND);
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or_else(expected)?;
        let unit = match unit {
            "s" => 1,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return Err(expected()),
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(expected());
        }
        let seconds = number
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(unit));
        match seconds {
            Some(seconds) if seconds <= LONGEST => Ok(Self(seconds)),
            Some(_) => Err("expected at most ten years (3660d)".to_owned()),
            None => Err(expected()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, letter) = match self.0 {
            seconds if seconds >= DAY && seconds % DAY == 0 => (DAY, 'd'),
            seconds if seconds >= HOUR && seconds % HOUR == 0 => (HOUR, 'h'),
            seconds if seconds >= MINUTE && seconds % MINUTE == 0 => (MINUTE, 'm'),
            _ => (1, 's'),
        };
        write!(formatter, "{}{letter}", self.0 / unit)
    }
}

impl Value for Span {
    const KIND: &'static str = "a length of time such as `90s`, `15m`, `12h` or `30d`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}
