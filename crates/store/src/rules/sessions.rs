//! When a session lives.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::{Session, User};

/// `last_seen_at` is written at most this often, and four times in the time after which an unused session ends.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// The session if it lives, and whether it is time to write down that it was used.
pub(crate) fn live(
    session: Session,
    user: User,
    idle: Duration,
    now: UnixSeconds,
) -> Option<(Session, User, bool)> {
    let unused = now.since(session.last_seen_at);
    let live = !user.disabled && now < session.expires_at && unused <= idle;
    live.then_some((session, user, unused >= TOUCH_EVERY.min(idle / 4)))
}
