//! Tables that are cut by time, so that what is past its use goes with a whole partition instead of row by row.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

const DAY: i64 = 86_400;
/// A partition is not made for a time that has begun, on whatever node's clock: its rows may be elsewhere by then. And while
/// one is made, the default partition takes nothing of its days: there is a day to put that right when it failed.
const MARGIN: i64 = DAY;

/// A table that is cut by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioned {
    /// The records of access tokens.
    Issuances,
    /// What was changed or refused.
    AuditEvents,
}

/// What [`Store::keep_partitions`](crate::Store::keep_partitions) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionsKept {
    /// Made for the time to come.
    pub made: u64,
    /// Dropped, because everything in them was past its use.
    pub dropped: u64,
}

/// The days of a partition, counted since the Unix epoch: from the first up to but without the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Days {
    /// Whether all of them lie before a time.
    pub(crate) const fn are_before(self, time: UnixSeconds) -> bool {
        self.to.saturating_mul(DAY) <= time.0
    }
}

/// Whether a name is that of a partition, or of what reserves its days: a table's, and the days (`issuance_20270117_20270121`).
pub(crate) fn is_name(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '_');
    let mut is_day = || {
        parts
            .next()
            .is_some_and(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_day() && is_day() && parts.next().is_some()
}

/// The first second of a day.
pub(crate) const fn begin_of(day: i64) -> i64 {
    day.saturating_mul(DAY)
}

/// How every UUID of version 7 begins that was made from this day on, or later (RFC 9562 §5.7): its text sorts by time.
pub(crate) fn uuid_prefix(day: i64) -> String {
    let millis = begin_of(day).saturating_mul(1000).max(0);
    format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
}

/// The partitions to make: two whole ones ahead of now. A quarter of the retention is in each, so that there are about eight
/// whatever the retention: a statement that has to look into all of them looks into a few.
pub(crate) fn missing(existing: &[Days], now: UnixSeconds, retain: Duration) -> Vec<Days> {
    let retained = i64::try_from(retain.as_secs()).unwrap_or(i64::MAX) / DAY;
    let width = (retained / 4).clamp(1, 366);
    let first = (now.0.saturating_add(MARGIN)).div_euclid(DAY) + 1;
    let mut from = existing.iter().map(|days| days.to).fold(first, i64::max);
    let mut missing = Vec::new();
    while from < first + 2 * width {
        let to = (from.div_euclid(width) + 1) * width;
        missing.push(Days { from, to });
        from = to;
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: Duration = Duration::from_hours(30 * 24);
    const NOW: UnixSeconds = UnixSeconds(20_833 * DAY + 5);

    #[test]
    fn two_partitions_ahead_are_made_once() {
        let made = missing(&[], NOW, MONTH);
        assert_eq!(
            made.first(),
            Some(&Days {
                from: 20_835,
                to: 20_839
            })
        );
        assert_eq!(made.len(), 3);
        assert!(made.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(missing(&made, NOW, MONTH), []);
        let week_later = NOW + Duration::from_hours(7 * 24);
        assert_eq!(
            missing(&made, week_later, MONTH),
            [Days {
                from: 20_853,
                to: 20_860
            }]
        );
    }

    #[test]
    fn no_partition_is_made_for_a_time_that_begins_within_a_day() {
        assert_eq!(missing(&[], UnixSeconds(20_833 * DAY - 1), MONTH)[0].from, 20_834);
        let late = UnixSeconds(20_834 * DAY - MARGIN);
        assert_eq!(missing(&[], late, MONTH)[0].from, 20_835);
        let long_ago = [Days {
            from: 20_000,
            to: 20_007,
        }];
        assert_eq!(missing(&long_ago, late, MONTH)[0].from, 20_835);
    }

    #[test]
    fn there_are_few_whatever_the_retention() {
        for days in [0, 1, 2, 30, 365, 3660] {
            let retain = Duration::from_hours(days * 24);
            let mut existing = Vec::new();
            for day in 0..4 * days.max(3) {
                let now = NOW + Duration::from_hours(day * 24);
                existing.extend(missing(&existing, now, retain));
                existing.retain(|days| !days.are_before(now - retain));
                assert!(existing.len() <= 14, "{days}: {existing:?}");
                assert!(existing.iter().any(|days| days.to > now.0 / DAY + 1));
            }
        }
    }

    #[test]
    fn an_id_sorts_into_the_days_of_its_time() {
        let (from, to) = (uuid_prefix(20_834), uuid_prefix(20_839));
        for (second, inside) in [
            (begin_of(20_834) - 1, false),
            (begin_of(20_834), true),
            (begin_of(20_839) - 1, true),
            (begin_of(20_839), false),
        ] {
            let millis = u64::try_from(second).unwrap() * 1000;
            for random in [[0; 10], [0xff; 10]] {
                let id = uuid::Builder::from_unix_timestamp_millis(millis, &random)
                    .into_uuid()
                    .to_string();
                assert_eq!(
                    (from.as_str()..to.as_str()).contains(&id.as_str()),
                    inside,
                    "{id}"
                );
            }
        }
    }
}
