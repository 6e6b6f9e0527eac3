//! Log lines on their way out: a moment's lines are written at once, so that a busy server does not pay a system call for
//! each. One thread writes, and whoever logs never waits for long: when nobody reads, lines are dropped and counted.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The longest time that a line waits for others.
const PAUSE: Duration = Duration::from_millis(5);

/// With so many bytes waiting, whoever logs waits for whoever reads them, as long as there is patience.
const MOST_WAITING: usize = 256 * 1024;

/// Room that warnings and errors have beyond that: what happens all the time is dropped first.
const FOR_WARNINGS: usize = 64 * 1024;

/// How long is waited for whoever reads, all who log together, until they have caught up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines are gathered; clones share it.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    gathered: Mutex<Gathered>,
    /// For the thread that writes.
    to_write: Condvar,
    /// For whoever waits for it.
    written: Condvar,
    patience: Duration,
}

#[derive(Default)]
struct Gathered {
    lines: Vec<u8>,
    /// Bytes that came, and of them those that have left, one way or another.
    bytes_in: usize,
    bytes_out: usize,
    /// What is gathered is written without waiting for more.
    is_urgent: bool,
    is_closed: bool,
    /// Since when somebody has been waiting for whoever reads.
    waited_since: Option<Instant>,
    dropped: Dropped,
}

/// Lines that nobody will read.
#[derive(Default)]
struct Dropped {
    /// Since the log told how many.
    untold: u64,
    /// Since they were counted.
    uncounted: u64,
    count: Option<Box<dyn Fn(u64) + Send>>,
}

impl Dropped {
    fn add(&mut self, lines: u64) {
        self.uncounted += lines;
        if let Some(count) = &self.count {
            count(mem::take(&mut self.uncounted));
        }
    }
}

impl Lines {
    /// Lines go to `to`. When some were dropped and it goes on, `tell` is called with their number, on the thread that writes.
    pub(super) fn new(
        to: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        Self::with_patience(PATIENCE, to, tell)
    }

    fn with_patience(
        patience: Duration,
        to: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let lines = Self(Arc::new(Shared {
            gathered: Mutex::default(),
            to_write: Condvar::new(),
            written: Condvar::new(),
            patience,
        }));
        let shared = Arc::clone(&lines.0);
        let writer = thread::Builder::new().name("log".to_owned());
        writer.spawn(move || shared.write_for_ever(to, tell))?;
        Ok(lines)
    }

    /// Calls `count` with the number of lines that are dropped, and of those that were before.
    pub(super) fn count_dropped(&self, count: impl Fn(u64) + Send + 'static) {
        let dropped = &mut lock(&self.0.gathered).dropped;
        dropped.count = Some(Box::new(count));
        dropped.add(0);
    }

    /// Waits until what is gathered is written, as long as there is patience; further lines are written as they come.
    pub(super) fn close(&self) {
        let mut gathered = lock(&self.0.gathered);
        gathered.is_closed = true;
        // Who was slow gets its time once more: these lines are the last.
        gathered.waited_since = None;
        drop(self.0.wait_for_writing(gathered));
    }
}

impl Shared {
    fn write_for_ever(&self, mut to: impl Write, tell: impl Fn(u64)) {
        IS_WRITER.set(true);
        let mut lines = Vec::new();
        loop {
            let nothing_came = |gathered: &mut Gathered| gathered.lines.is_empty();
            let gathered = self.to_write.wait_while(lock(&self.gathered), nothing_came);
            let gathered = gathered.unwrap_or_else(PoisonError::into_inner);
            let may_wait = |gathered: &mut Gathered| !gathered.is_urgent && !gathered.is_closed;
            let gathered = self.to_write.wait_timeout_while(gathered, PAUSE, may_wait);
            let (mut gathered, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            gathered.is_urgent = false;
            mem::swap(&mut gathered.lines, &mut lines);
            drop(gathered);
            // There is room again.
            self.written.notify_all();
            // There is nobody to tell that nobody reads the log.
            let lost = write_all(&mut to, &lines);

            let mut gathered = lock(&self.gathered);
            gathered.bytes_out = gathered.bytes_out.wrapping_add(lines.len());
            lines.clear();
            if gathered.lines.len() < MOST_WAITING / 2 {
                gathered.waited_since = None;
            }
            gathered.dropped.add(lost);
            let untold = mem::take(&mut gathered.dropped.untold);
            drop(gathered);
            self.written.notify_all();
            if untold > 0 {
                tell(untold);
            }
        }
    }

    /// Puts a line beside the others, or drops it when they are too many and there is no patience left.
    fn gather(&self, line: &[u8], is_warning: bool) {
        let mut gathered = lock(&self.gathered);
        let most = if is_warning {
            MOST_WAITING + FOR_WARNINGS
        } else {
            MOST_WAITING
        };
        if gathered.lines.len() + line.len() > most {
            // A line that is longer than the room there is goes alone.
            let is_full =
                |gathered: &Gathered| !gathered.lines.is_empty() && gathered.lines.len() + line.len() > most;
            gathered.is_urgent = true;
            self.to_write.notify_one();
            gathered = self.wait_while(gathered, is_full);
            if is_full(&gathered) {
                gathered.dropped.untold += 1;
                gathered.dropped.add(1);
                return;
            }
        }
        let is_first = gathered.lines.is_empty();
        gathered.lines.extend_from_slice(line);
        gathered.bytes_in = gathered.bytes_in.wrapping_add(line.len());
        if is_warning || gathered.is_closed {
            drop(self.wait_for_writing(gathered));
        } else {
            drop(gathered);
            if is_first {
                self.to_write.notify_one();
            }
        }
    }

    /// Waits until all that has come is written.
    fn wait_for_writing<'g>(&self, mut gathered: MutexGuard<'g, Gathered>) -> MutexGuard<'g, Gathered> {
        gathered.is_urgent = true;
        self.to_write.notify_one();
        let end = gathered.bytes_in;
        self.wait_while(gathered, |gathered| gathered.bytes_out < end)
    }

    /// Waits as long as this holds and there is patience. The thread that writes never waits for itself.
    fn wait_while<'g>(
        &self,
        mut gathered: MutexGuard<'g, Gathered>,
        holds: impl Fn(&Gathered) -> bool,
    ) -> MutexGuard<'g, Gathered> {
        if is_writer() || !holds(&gathered) {
            return gathered;
        }
        let since = *gathered.waited_since.get_or_insert_with(Instant::now);
        let left = self.patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return gathered;
        }
        let waited = self
            .written
            .wait_timeout_while(gathered, left, |gathered| holds(gathered));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the thread that writes: what it logs itself is written when it comes back to it.
pub(super) fn is_writer() -> bool {
    IS_WRITER.get()
}

/// As [`Write::write_all`] and [`Write::flush`], and waits where a pipe was made not to; the lines that were not taken.
fn write_all(to: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match to.write(lines) {
            Ok(written) if written > 0 => lines = lines.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Ok(_) | Err(_) => break,
        }
    }
    let _ = to.flush();
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            shared: &self.0,
            is_warning: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            shared: &self.0,
            // What went wrong may be the last that is heard of this process.
            is_warning: *metadata.level() <= Level::WARN,
        }
    }
}

/// One line.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    is_warning: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.gather(bytes, self.is_warning);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
