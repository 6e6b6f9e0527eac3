//! Processor time, as Linux accounts for it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// `USER_HZ`, the unit of `/proc/PID/stat`: 100 on every Linux that this program runs on.
const TICKS_PER_SECOND: u64 = 100;

/// The user and system time of a process, its threads, and of every process that it started, ended ones included once
/// they were waited for. Counted in ticks of 10 ms.
pub fn of_tree(root: u32) -> anyhow::Result<Duration> {
    let tree = tree(root)?;
    let ticks: u64 = tree.values().map(|process| process.ticks).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// A process and every process that it started and that runs.
fn tree(root: u32) -> anyhow::Result<HashMap<u32, Process>> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry?.file_name();
        // A process may end meanwhile.
        if let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok())
            && let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat"))
        {
            let process =
                Process::parse(&stat).with_context(|| format!("/proc/{id}/stat has another form"))?;
            processes.insert(id, process);
        }
    }
    anyhow::ensure!(processes.contains_key(&root), "process {root} has ended");
    let mut tree = HashMap::new();
    let mut found = vec![root];
    while let Some(id) = found.pop() {
        tree.extend(processes.remove_entry(&id));
        let children = processes.iter().filter(|(_, process)| process.parent == id);
        found.extend(children.map(|(child, _)| *child));
    }
    Ok(tree)
}

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, PartialEq)]
struct Process {
    parent: u32,
    /// Its own and those of its children that it waited for.
    ticks: u64,
}

impl Process {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is the program's name, which may hold anything, in parentheses.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let mut ticks = 0;
        for field in fields.get(11..15)? {
            // The times of the children are signed.
            ticks += u64::try_from(field.parse::<i64>().ok()?).unwrap_or_default();
        }
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks,
        })
    }
}

/// The time that each thread of a process has been running, to the nanosecond: finer than [`of_tree`], for short runs.
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

    /// Gives it to a process and to every process that it started, with all of their threads. What they start later has it too.
    pub fn give_to(self, process: u32) -> anyhow::Result<()> {
        let Some(core) = self.0 else {
            return Ok(());
        };
        let mut own = CpuSet::new();
        own.set(core);
        run_on(process, &own)
    }

    /// The calling thread may use it again, and those who had it may use all others too.
    pub fn take_back(self, from: impl IntoIterator<Item = u32>) -> anyhow::Result<()> {
        let Some(core) = self.0 else {
            return Ok(());
        };
        let mut all = sched_getaffinity(None)?;
        all.set(core);
        sched_setaffinity(None, &all)?;
        from.into_iter().try_for_each(|process| run_on(process, &all))
    }
}

/// Every thread of a process and of those that it started.
fn run_on(process: u32, cores: &CpuSet) -> anyhow::Result<()> {
    for id in tree(process)?.into_keys() {
        let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
            continue;
        };
        for thread in threads {
            let thread = thread?.file_name();
            let thread = thread.to_str().and_then(|id| id.parse().ok());
            let thread = thread.and_then(Pid::from_raw).context("no thread")?;
            match sched_setaffinity(Some(thread), cores) {
                // It ended meanwhile.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        let process = Process::parse(stat).unwrap();
        assert_eq!(
            process,
            Process {
                parent: 3,
                ticks: 100
            }
        );
        assert_eq!(Process::parse("7 (sh) S 3"), None);
    }

    #[test]
    fn what_a_process_started_counts_as_its_own() {
        let busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", &format!("sh -c '{busy}'; {busy}; read line")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut used = Duration::ZERO;
        while used < Duration::from_millis(20) {
            thread::sleep(Duration::from_millis(5));
            used = of_tree(shell.id()).unwrap();
        }
        drop(shell.stdin.take());
        let id = shell.id();
        shell.wait().unwrap();
        assert!(of_tree(id).is_err(), "an ended process has no time");
    }

    #[test]
    fn a_core_is_given_to_a_process_and_what_it_started_and_taken_back() {
        let before = sched_getaffinity(None).unwrap();
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 & cat"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while tree(shell.id()).unwrap().len() < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        let core = OwnCore::leave().unwrap();
        core.give_to(shell.id()).unwrap();
        if core.0.is_some() {
            let mine = sched_getaffinity(None).unwrap();
            assert_eq!(mine.count() + 1, before.count());
            for id in tree(shell.id()).unwrap().into_keys() {
                let theirs = sched_getaffinity(Pid::from_raw(id.try_into().unwrap())).unwrap();
                assert_eq!(theirs.count(), 1);
                assert!((0..CpuSet::MAX_CPU).all(|core| !(theirs.is_set(core) && mine.is_set(core))));
            }
        }
        core.take_back([shell.id()]).unwrap();
        assert_eq!(sched_getaffinity(None).unwrap(), before);
        let theirs = sched_getaffinity(Pid::from_raw(shell.id().try_into().unwrap()));
        assert_eq!(theirs.unwrap(), before);
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

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
