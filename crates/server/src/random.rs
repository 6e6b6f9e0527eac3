//! Randomness, handed in like time.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use doorward_jose::base64url;
use doorward_oauth::time::Clock;
use uuid::{Builder, Uuid};

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct OsRandom(SystemRandom);

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // aws-lc aborts the process rather than hand out weak bytes; the result is an error only on
        // platforms without a generator, where going on would be worse than stopping.
        if self.0.fill(bytes).is_err() {
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
        format!("{prefix}{}", base64url::encode(&self.bytes::<32>()))
    }

    /// A UUID that says nothing: for names that others see (`sub`).
    pub fn uuid_v4(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A UUID that sorts by time: for rows, and for `jti`, which stands beside `iat` anyway. 74 random bits.
    pub fn uuid_v7(&self, clock: &dyn Clock) -> Uuid {
        let millis = u64::try_from(clock.now().0).unwrap_or(0).saturating_mul(1000);
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}
