//! Chances that can be taken again: everything random in a run follows from its seed.

use std::time::Duration;

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed; another `stream`, another sequence.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, part: usize) -> bool {
        self.below(100) < part
    }

    /// A time between the two.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let width = usize::try_from(most.saturating_sub(least).as_millis()).unwrap_or_default();
        least + Duration::from_millis(u64::try_from(self.below(width + 1)).unwrap_or_default())
    }
}
