//! Clients that register themselves.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::{Client, ClientSource};

/// How often it is written down that a client registered again.
const TOUCH_EVERY: Duration = Duration::from_hours(24);

/// Whether registering again is written down.
pub(crate) fn is_touched(stored: &Client, now: UnixSeconds) -> bool {
    stored.source == ClientSource::Dynamic && now.since(stored.updated_at) >= TOUCH_EVERY
}
