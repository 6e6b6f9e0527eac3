//! Processor time, as Linux accounts for it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
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

/// The time that each thread of a process has been running, to the nanosecond: finer than [`of_process`], for short runs.
pub struct Threads(HashMap<u32, Duration>);

impl Threads {
    /// As they are now.
    pub fn of_process(id: u32) -> anyhow::Result<Self> {
        let folder = format!("/proc/{id}/task");
        let mut threads = HashMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            let entry = entry?;
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let thread = entry.file_name().to_str().and_then(|id| id.parse().ok());
            let running = text
                .split(' ')
                .next()
                .and_then(|nanoseconds| nanoseconds.parse().ok());
            let (thread, running) = thread
                .zip(running)
                .with_context(|| format!("{folder} has another form"))?;
            threads.insert(thread, Duration::from_nanos(running));
        }
        Ok(Self(threads))
    }

    /// What they have run since then.
    pub fn since(&self, earlier: &Self) -> Duration {
        let of_one = |(thread, now): (&u32, &Duration)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(before)
        };
        self.0.iter().map(of_one).sum()
    }
}

/// The time that the calling thread has been running, to the nanosecond.
pub fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The core that the measured processes have for themselves.
#[derive(Debug, Clone, Copy)]
pub struct OwnCore(Option<usize>);

impl OwnCore {
    /// Leaves the first core to the processes that are measured; the calling thread keeps the others. Whoever wakes the other
    /// does not push it aside then. Does nothing on a machine with one core.
    pub fn leave() -> anyhow::Result<Self> {
        let mut others = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| others.is_set(*core));
        let (Some(first), Some(_)) = (cores.next(), cores.next()) else {
            return Ok(Self(None));
        };
        others.unset(first);
        sched_setaffinity(None, &others)?;
        Ok(Self(Some(first)))
    }

    /// Gives it to a process that was started just now, before it has more threads than one.
    pub fn give_to(self, process: u32) -> anyhow::Result<()> {
        let Some(core) = self.0 else {
            return Ok(());
        };
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        let mut own = CpuSet::new();
        own.set(core);
        Ok(sched_setaffinity(Some(process.context("no process")?), &own)?)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn every_thread_of_a_process_counts() {
        let id = std::process::id();
        let before = Threads::of_process(id).unwrap();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let worker = thread::spawn(move || {
            while of_this_thread() < Duration::from_millis(30) {}
            ready.send(()).unwrap();
            let _ = wait.recv();
        });
        is_ready.recv().unwrap();
        assert!(Threads::of_process(id).unwrap().since(&before) >= Duration::from_millis(25));
        drop(done);
        worker.join().unwrap();
    }
}
