//! Time in short waits: what a machine that stands still adds is nobody's delay.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// What comes of it within this time, and how long that took.
pub async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<(T, Duration)> {
    const WAIT: Duration = Duration::from_millis(10);
    // Timers round up.
    const TAKES: Duration = Duration::from_millis(11);
    let mut what = pin!(what);
    let mut waited = Duration::ZERO;
    while waited < limit {
        match timeout(WAIT, &mut what).await {
            Ok(come) => return Some((come, waited)),
            Err(_) => waited += TAKES,
        }
    }
    None
}
