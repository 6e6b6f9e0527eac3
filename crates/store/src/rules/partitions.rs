//! Tables that are cut by time, so that what is past its use goes with a whole partition instead of row by row.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

const DAY: i64 = 86_400;
/// A partition is not made for a time that has begun, on whatever node's clock: its rows may be elsewhere by then. And while
/// one is made, the default partition takes nothing of its days: there is a day to put that right when it failed.
const MARGIN: i64 = DAY;
/// Partitions of the past that are made at once, however long things are kept.
#[cfg(feature = "postgres")]
const MOST_BEHIND: i64 = 24;

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
    /// Rows removed from partitions that are wider than the retention wants them.
    pub rows: u64,
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

/// How tables are cut at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Of a partition, in days: a quarter of the retention, so that there are about eight whatever the retention. A statement
    /// that has to look into all of them looks into a few.
    width: i64,
    /// The first day for which one may be made.
    first: i64,
    /// The day before which there should be one for every day: two whole ones ahead.
    end: i64,
}

impl Plan {
    pub(crate) fn new(now: UnixSeconds, retain: Duration) -> Self {
        let retained = i64::try_from(retain.as_secs()).unwrap_or(i64::MAX) / DAY;
        let width = (retained / 4).clamp(1, 366);
        let first = (now.0.saturating_add(MARGIN)).div_euclid(DAY) + 1;
        Self {
            width,
            first,
            end: first + 2 * width,
        }
    }

    /// Whether a partition is of another plan: its days have not begun, and it is too wide for the retention, or further
    /// ahead than this one reaches (a clock was wrong for a while). It may go while nothing is in it.
    pub(crate) const fn is_astray(&self, days: Days) -> bool {
        days.from >= self.first && (self.is_too_wide(days) || days.from >= self.end + self.width)
    }

    /// Whether rows that are past their use would wait too long for the whole of a partition.
    pub(crate) const fn is_too_wide(&self, days: Days) -> bool {
        days.to - days.from > self.width
    }

    /// The partitions to make, in the order of their days; where others are is nothing to do.
    pub(crate) fn missing(&self, existing: &[Days]) -> Vec<Days> {
        let mut missing = Vec::new();
        let mut from = self.first;
        while from < self.end {
            if let Some(there) = existing.iter().find(|days| days.from <= from && from < days.to) {
                from = there.to;
                continue;
            }
            let next = existing.iter().map(|days| days.from).filter(|next| *next > from);
            let to = ((from.div_euclid(self.width) + 1) * self.width).min(next.min().unwrap_or(i64::MAX));
            missing.push(Days { from, to });
            from = to;
        }
        missing
    }

    /// The partitions of a table that gets at once all that is still kept, while nobody else uses it. What is older goes row by
    /// row.
    #[cfg(feature = "postgres")]
    pub(crate) fn with_the_past(self, now: UnixSeconds, retain: Duration) -> Vec<Days> {
        // One more: what was issued before is kept until it has expired so long ago.
        let kept = (now - retain).0.div_euclid(DAY) - self.width;
        let first = kept.max(self.first - MOST_BEHIND * self.width).max(0);
        Self { first, ..self }.missing(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: Duration = Duration::from_hours(30 * 24);
    const NOW: UnixSeconds = UnixSeconds(20_833 * DAY + 5);

    fn missing(existing: &[Days], now: UnixSeconds, retain: Duration) -> Vec<Days> {
        Plan::new(now, retain).missing(existing)
    }

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

    /// A retention that was lowered, and a clock that was years ahead for a while.
    #[test]
    fn partitions_of_another_plan_go_and_holes_are_filled() {
        let wide = missing(&[], NOW, Duration::from_hours(3660 * 24));
        let plan = Plan::new(NOW, MONTH);
        assert!(wide.iter().skip(1).all(|days| plan.is_astray(*days)), "{wide:?}");
        let far = missing(&[], NOW + Duration::from_hours(5 * 366 * 24), MONTH);
        assert!(far.iter().all(|days| plan.is_astray(*days)), "{far:?}");
        let made = plan.missing(&far);
        assert_eq!(made, plan.missing(&[]));
        assert!(!made.iter().any(|days| plan.is_astray(*days)));

        let there = Days {
            from: 20_837,
            to: 20_841,
        };
        let filled = plan.missing(&[there]);
        let mut all = [&[there], filled.as_slice()].concat();
        all.sort_by_key(|days| days.from);
        assert_eq!((all[0].from, all[0].to), (20_835, 20_837));
        assert!(all.windows(2).all(|pair| pair[0].to == pair[1].from), "{all:?}");
        assert!(all.last().unwrap().to >= 20_835 + 14);
        // What has begun is in use, however wide it is.
        let begun = Days {
            from: 20_800,
            to: 21_166,
        };
        assert!(!plan.is_astray(begun) && plan.is_too_wide(begun));
        assert_eq!(plan.missing(&[begun]), []);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn what_is_still_kept_gets_partitions_without_a_gap_up_to_those_ahead() {
        for days in [0, 1, 2, 30, 365, 36_600] {
            let retain = Duration::from_hours(days * 24);
            let made = Plan::new(NOW, retain).with_the_past(NOW, retain);
            assert!(made.len() <= 30, "{days}: {}", made.len());
            assert!(made.windows(2).all(|pair| pair[0].to == pair[1].from), "{days}");
            assert_eq!(missing(&made, NOW, retain), [], "{days}");
            let oldest = begin_of(made[0].from);
            assert!(oldest <= (NOW - retain).0 || days > 10_000, "{days}: {oldest}");
        }
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
