//! Processor time, as Linux accounts for it.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// `USER_HZ`, the unit of `/proc/PID/stat`: 100 on every Linux that this program runs on.
const TICKS_PER_SECOND: u32 = 100;

/// The user and system time that a process has used, all its threads together. Counted in ticks of 10 ms.
pub fn of_process(id: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the program's name, which may hold anything, in parentheses.
    let (_, fields) = stat
        .rsplit_once(')')
        .with_context(|| format!("{path} has another form"))?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u32>().ok());
    let (user, system) = ticks()
        .zip(ticks())
        .with_context(|| format!("{path} has another form"))?;
    Ok(Duration::from_secs(1) * (user + system) / TICKS_PER_SECOND)
}

/// The time that the calling thread has been running, to the nanosecond.
pub fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
