//! `[rate_limit]`

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::Span;
use super::section::section;
use super::value::{Value, quoted};

section! {
    /// How often one address, client or person may ask; answered with 429 and `Retry-After`, never with `invalid_grant`. `100/1m` is a hundred at once and then one for each hundredth of a minute; `off` is no limit. Each node counts for itself, except for sign-in attempts and user codes, which all nodes count together; an IPv6 address counts as its /64, and all of a /48 together have sixteen times as much.
    pub struct RateLimit in "rate_limit" {
        /// Requests to the token endpoint from one address. Vendors refresh for all their users from a few addresses.
        token_address: Rate = Rate::new(3000, Span::minutes(1)),
        /// Requests to the token endpoint by one confidential client; by a public client, whose name anybody can use, from one address.
        token_client: Rate = Rate::new(6000, Span::minutes(1)),
        /// Introspections, revocations and connections to the feed from one address by clients that registered themselves, or that are public. Clients that an operator registered with a secret or keys are not counted.
        self_registered: Rate = Rate::new(300, Span::minutes(1)),
        /// Refreshes for one person by one client: a client that runs in circles.
        token_account: Rate = Rate::new(120, Span::minutes(1)),
        /// New registrations from one address, at each node. What is registered already is not counted, nor what comes with an initial access token.
        registration: Rate = Rate::new(600, Span::minutes(30)),
        /// Metadata documents of clients, and keys of clients that registered themselves, fetched for one address.
        cimd: Rate = Rate::new(120, Span::minutes(2)),
        /// Authorization requests sent in advance from one address.
        par: Rate = Rate::new(600, Span::minutes(5)),
        /// Devices that begin to wait, from one address.
        device_address: Rate = Rate::new(60, Span::minutes(10)),
        /// Devices that begin to wait, from all addresses together, at each node: what strangers can make the store keep, times the number of nodes.
        device_total: Rate = Rate::new(10_000, Span::minutes(10)),
    }
}

/// So many in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(Option<(NonZeroU32, Span)>);

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// So many in that time; none is no limit.
    pub const fn new(number: u32, per: Span) -> Self {
        match NonZeroU32::new(number) {
            Some(number) => Self(Some((number, per))),
            None => Self::OFF,
        }
    }

    /// So many times as much in the same time.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        match self.0 {
            Some((number, per)) => Self::new(number.get().saturating_mul(factor), per),
            None => Self::OFF,
        }
    }

    /// How many at once, and after how long there is one more; `None` without a limit.
    pub fn quota(self) -> Option<(NonZeroU32, Duration)> {
        self.0
            .map(|(number, per)| (number, per.duration() / number.get()))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let expected = || format!("expected {}", Self::KIND);
        let (number, per) = text.split_once('/').ok_or_else(expected)?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: NonZeroU32 = number.parse().ok().filter(|_| digits).ok_or_else(expected)?;
        let per: Span = per.parse().map_err(|_| expected())?;
        if per < Span::seconds(1) {
            return Err(expected());
        }
        Ok(Self(Some((number, per))))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((number, per)) => write!(f, "{number}/{per}"),
            None => f.write_str("off"),
        }
    }
}

impl Value for Rate {
    const KIND: &'static str = "a rate such as `100/1m`, or `off`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_as_it_is_shown() {
        for text in ["100/1m", "1/1s", "600/30m", "off"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(
            "600/30m".parse::<Rate>().unwrap().quota(),
            Some((NonZeroU32::new(600).unwrap(), Duration::from_secs(3)))
        );
        assert_eq!("off".parse::<Rate>().unwrap().quota(), None);
        for text in [
            "", "100", "0/1m", "+1/1m", "1/0s", "1/m", "-1/1m", "1/1m/1m", "OFF",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
