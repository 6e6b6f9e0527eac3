//! Randomness, handed in like time.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use doorward_jose::base64url;
use doorward_oauth::time::Clock;
use uuid::{Builder, Uuid};

use crate::prefix;

/// Places that ids take in a second: 4,096 in each of its milliseconds.
const PLACES: u32 = 1000 << PLACE_BITS;
const PLACE_BITS: u32 = 12;
/// What is enough for a place.
const ALL_PLACE_BITS: u32 = 22;

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// The place of an id in this second of the clock, less than 4,096,000 and made with these random bits. A source that
    /// can remember puts each behind those before.
    fn place(&self, second: u64, random: u16) -> u32 {
        let _ = second;
        first_place(random)
    }
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct OsRandom {
    system: SystemRandom,
    /// The second and the place of the last id.
    last: AtomicU64,
}

impl Random for OsRandom {
    fn place(&self, second: u64, random: u16) -> u32 {
        let next = |last: u64| {
            // Somebody has seen the next second already, and its ids stay in their order.
            let is_over = last >> ALL_PLACE_BITS == second + 1;
            (!is_over).then(|| (second << ALL_PLACE_BITS) | u64::from(place_after(last, second, random)))
        };
        let updated = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        updated.map_or(first_place(random), |last| place_after(last, second, random))
    }

    fn fill(&self, bytes: &mut [u8]) {
        // aws-lc aborts the process rather than hand out weak bytes; the result is an error only on
        // platforms without a generator, where going on would be worse than stopping.
        if self.system.fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

impl dyn Random + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// `prefix` and 256 random bits as unpadded base64url.
    pub fn token(&self, prefix: &str) -> String {
        // The log knows what must not be shown by the form of its prefix.
        debug_assert!(prefix.is_empty() || prefix::of(prefix).is_some());
        format!("{prefix}{}", base64url::encode(&self.bytes::<32>()))
    }

    /// A UUID that says nothing: for names that others see (`sub`).
    pub fn uuid_v4(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A UUID that sorts by time, and within a second mostly in the order of making (RFC 9562 §6.2): for rows, which then
    /// lie side by side, and for `jti`, which stands beside `iat` anyway. 62 random bits. How many ids
    /// were made in between can be estimated from two of one second, and not counted.
    pub fn uuid_v7(&self, clock: &dyn Clock) -> Uuid {
        let second = u64::try_from(clock.now().0).unwrap_or(0);
        let mut bytes = self.bytes::<10>();
        let place = self.place(second, u16::from_be_bytes([bytes[0], bytes[1]]));
        let [.., high, low] = place.to_be_bytes();
        (bytes[0], bytes[1]) = (high, low);
        let millis = second
            .saturating_mul(1000)
            .saturating_add(u64::from(place >> PLACE_BITS));
        // Of the first two bytes the lower twelve bits count.
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

/// Somewhere in the first quarter of a second.
fn first_place(random: u16) -> u32 {
    u32::from(random) << 4
}

/// The place behind the last one, or the first of another second. The end of a second is crowded rather than exceeded.
fn place_after(last: u64, second: u64, random: u16) -> u32 {
    if last >> ALL_PLACE_BITS != second {
        return first_place(random);
    }
    let last = u32::try_from(last & ((1 << ALL_PLACE_BITS) - 1)).unwrap_or(PLACES);
    (last + 1 + u32::from(random % 16)).min(PLACES - 1)
}

#[cfg(test)]
mod tests {
    use doorward_oauth::time::{ManualClock, UnixSeconds};

    use super::*;

    #[test]
    fn ids_of_a_second_come_in_their_order_and_stay_in_it() {
        let random: &dyn Random = &OsRandom::default();
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let mut last = Uuid::nil();
        for number in 0..20_000 {
            let id = random.uuid_v7(&clock);
            assert!(id > last, "{number}");
            let (second, _) = id.get_timestamp().unwrap().to_unix();
            assert_eq!((second, id.get_version_num()), (1_800_000_000, 7));
            last = id;
        }
    }

    #[test]
    fn a_second_that_is_over_or_full_gives_no_place_outside_of_it() {
        let random = OsRandom::default();
        assert_eq!(random.place(7, 3), 48);
        assert_eq!(random.place(8, 1), 16);
        assert_eq!(random.place(7, 9), 144);
        assert_eq!(random.place(8, 0), 17);
        let full = (8 << ALL_PLACE_BITS) | u64::from(PLACES - 1);
        assert_eq!(place_after(full, 8, 15), PLACES - 1);
        assert_eq!((PLACES - 1) >> PLACE_BITS, 999);
    }

    #[test]
    fn ids_that_are_made_at_once_are_different() {
        let random = OsRandom::default();
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let made = || -> Vec<Uuid> {
            (0..1000)
                .map(|_| (&random as &dyn Random).uuid_v7(&clock))
                .collect()
        };
        let ids: std::collections::HashSet<Uuid> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
            makers
                .into_iter()
                .flat_map(|maker| maker.join().unwrap())
                .collect()
        });
        assert_eq!(ids.len(), 8000);
    }
}
