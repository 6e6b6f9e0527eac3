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
    came: Condvar,
    /// For whoever waits for it.
    went: Condvar,
    patience: Duration,
}

#[derive(Default)]
struct Gathered {
    lines: Vec<u8>,
    /// Bytes that came, and of them those that have left, one way or another.
    came: usize,
    went: usize,
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
            came: Condvar::new(),
            went: Condvar::new(),
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
            let gathered = self.came.wait_while(lock(&self.gathered), nothing_came);
            let gathered = gathered.unwrap_or_else(PoisonError::into_inner);
            let may_wait = |gathered: &mut Gathered| !gathered.is_urgent && !gathered.is_closed;
            let gathered = self.came.wait_timeout_while(gathered, PAUSE, may_wait);
            let (mut gathered, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            gathered.is_urgent = false;
            mem::swap(&mut gathered.lines, &mut lines);
            drop(gathered);
            // There is nobody to tell that nobody reads the log.
            let lost = write_all(&mut to, &lines);

            let mut gathered = lock(&self.gathered);
            gathered.went = gathered.went.wrapping_add(lines.len());
            lines.clear();
            if gathered.lines.len() < MOST_WAITING / 2 {
                gathered.waited_since = None;
            }
            gathered.dropped.add(lost);
            let untold = mem::take(&mut gathered.dropped.untold);
            drop(gathered);
            self.went.notify_all();
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
            let is_full = |gathered: &Gathered| gathered.lines.len() + line.len() > most;
            gathered.is_urgent = true;
            self.came.notify_one();
            gathered = self.wait_while(gathered, is_full);
            if is_full(&gathered) && !gathered.lines.is_empty() {
                gathered.dropped.untold += 1;
                gathered.dropped.add(1);
                return;
            }
        }
        let is_first = gathered.lines.is_empty();
        gathered.lines.extend_from_slice(line);
        gathered.came = gathered.came.wrapping_add(line.len());
        if is_warning || gathered.is_closed {
            drop(self.wait_for_writing(gathered));
        } else {
            drop(gathered);
            if is_first {
                self.came.notify_one();
            }
        }
    }

    /// Waits until all that has come is written.
    fn wait_for_writing<'g>(&self, mut gathered: MutexGuard<'g, Gathered>) -> MutexGuard<'g, Gathered> {
        gathered.is_urgent = true;
        self.came.notify_one();
        let end = gathered.came;
        self.wait_while(gathered, |gathered| gathered.went < end)
    }

    /// Waits as long as this holds and there is patience. The thread that writes never waits for itself.
    fn wait_while<'g>(
        &self,
        mut gathered: MutexGuard<'g, Gathered>,
        holds: impl Fn(&Gathered) -> bool,
    ) -> MutexGuard<'g, Gathered> {
        if IS_WRITER.get() || !holds(&gathered) {
            return gathered;
        }
        let since = *gathered.waited_since.get_or_insert_with(Instant::now);
        let left = self.patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return gathered;
        }
        let waited = self
            .went
            .wait_timeout_while(gathered, left, |gathered| holds(gathered));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
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
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands on what is written, one message for each time.
    struct Told(mpsc::Sender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let _ = self.0.send(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing before it may.
    struct Unread(mpsc::Receiver<()>, Told);

    impl Write for Unread {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const SOON: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    fn lines() -> (Lines, mpsc::Receiver<String>) {
        let (told, written) = mpsc::channel();
        let lines = Lines::with_patience(SOON, Told(told), |_| {}).unwrap();
        (lines, written)
    }

    /// A log that nobody reads before the sender is used or gone, and the numbers of dropped lines that it tells and counts.
    struct Stuck {
        lines: Lines,
        reader: mpsc::Sender<()>,
        written: mpsc::Receiver<String>,
        told: mpsc::Receiver<u64>,
    }

    fn stuck(patience: Duration) -> Stuck {
        let ((reader, reads), (to, written)) = (mpsc::channel(), mpsc::channel());
        let (tell, told) = mpsc::channel();
        let tell = move |number| tell.send(number).unwrap_or_default();
        let lines = Lines::with_patience(patience, Unread(reads, Told(to)), tell).unwrap();
        Stuck {
            lines,
            reader,
            written,
            told,
        }
    }

    fn warn(lines: &Lines, text: &str) {
        lines.0.gather(text.as_bytes(), true);
    }

    fn log(lines: &Lines, text: &str) {
        lines.make_writer().write_all(text.as_bytes()).unwrap();
    }

    /// A line that takes the room of so many.
    fn part(of: usize) -> String {
        let mut line = "x".repeat(MOST_WAITING / of - 1);
        line.push('\n');
        line
    }

    #[test]
    fn lines_of_one_moment_are_written_at_once_in_their_order() {
        let (lines, written) = lines();
        let mut expected = String::new();
        for number in 0..1000 {
            let line = format!("{number}\n");
            log(&lines, &line);
            expected.push_str(&line);
        }
        let mut text = String::new();
        let mut times = 0;
        while text.lines().count() < 1000 {
            text.push_str(&written.recv_timeout(SOON).unwrap());
            times += 1;
        }
        assert_eq!(text, expected);
        assert!(times < 500, "{times}");
    }

    #[test]
    fn a_warning_does_not_wait_for_others_and_takes_along_what_came_before() {
        let (lines, written) = lines();
        log(&lines, "1\n");
        warn(&lines, "2\n");
        let text: String = written.try_iter().collect();
        assert_eq!(text, "1\n2\n");
    }

    #[test]
    fn a_pipe_that_is_full_for_a_while_gets_every_line_whole() {
        /// Takes three bytes every other time.
        struct Full(mpsc::Sender<String>, bool);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let taken = &bytes[..bytes.len().min(3)];
                let _ = self.0.send(String::from_utf8(taken.to_vec()).unwrap());
                Ok(taken.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (told, written) = mpsc::channel();
        let lines = Lines::with_patience(SOON, Full(told, false), |_| {}).unwrap();
        warn(&lines, "first line\n");
        warn(&lines, "second line\n");
        let text: String = written.try_iter().collect();
        assert_eq!(text, "first line\nsecond line\n");
    }

    #[test]
    fn nothing_waits_for_others_when_the_log_is_closed() {
        let (lines, written) = lines();
        log(&lines, "1\n");
        lines.close();
        log(&lines, "2\n");
        let text: String = written.try_iter().collect();
        assert_eq!(text, "1\n2\n");
    }

    #[test]
    fn who_logs_too_much_waits_for_who_reads() {
        let Stuck {
            lines,
            reader,
            written,
            told,
        } = stuck(SOON);
        let logging = lines.clone();
        let logger = thread::spawn(move || (0..8).for_each(|_| log(&logging, &part(2))));
        while lock(&lines.0.gathered).waited_since.is_none() {
            thread::yield_now();
        }
        assert!(!logger.is_finished());
        drop(reader);
        logger.join().unwrap();
        lines.close();
        let written: usize = written.try_iter().map(|text| text.len()).sum();
        assert_eq!(written, MOST_WAITING / 2 * 8);
        assert!(told.try_recv().is_err(), "nothing was dropped");
    }

    /// All who log together, and not each of them, nor each line.
    #[test]
    fn nobody_waits_for_long_when_nobody_reads() {
        let patience = Duration::from_millis(100);
        let Stuck { lines, reader, .. } = stuck(patience);
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        warn(&lines, "warning\n");
                        log(&lines, &part(4));
                    }
                });
            }
        });
        // 800 lines; the rest is for a machine that is busy.
        assert!(started.elapsed() < 100 * patience, "{:?}", started.elapsed());
        drop(reader);
    }

    #[test]
    fn what_happens_all_the_time_is_dropped_first_and_everything_that_is_dropped_is_counted_and_told() {
        let Stuck {
            lines,
            reader,
            written,
            told,
        } = stuck(SHORT);
        // Taken by who writes, who then stands.
        log(&lines, "first\n");
        while !lock(&lines.0.gathered).lines.is_empty() {
            thread::yield_now();
        }
        for _ in 0..4 {
            log(&lines, &part(4));
        }
        for _ in 0..3 {
            log(&lines, "too much\n");
        }
        let (count, counted) = mpsc::channel();
        lines.count_dropped(move |number| count.send(number).unwrap_or_default());
        warn(&lines, "warning\n");
        log(&lines, "too much\n");
        assert_eq!(counted.try_iter().sum::<u64>(), 4);
        assert!(told.try_recv().is_err(), "nobody reads");
        drop(reader);
        assert_eq!(told.recv_timeout(SOON), Ok(4));
        warn(&lines, "last\n");
        lines.close();
        let text: String = written.try_iter().collect();
        let others: Vec<_> = text.lines().filter(|line| !line.starts_with('x')).collect();
        assert_eq!(others, ["first", "warning", "last"]);
        assert_eq!(text.lines().count(), 7);
    }

    #[test]
    fn once_somebody_reads_again_there_is_patience_again() {
        let Stuck {
            lines,
            reader,
            written,
            ..
        } = stuck(SHORT);
        warn(&lines, "nobody reads\n");
        assert!(lock(&lines.0.gathered).waited_since.is_some());
        reader.send(()).unwrap();
        assert_eq!(written.recv_timeout(SOON).as_deref(), Ok("nobody reads\n"));
        drop(reader);
        lines.close();
        assert!(lock(&lines.0.gathered).waited_since.is_none());
    }

    #[test]
    fn the_end_does_not_wait_for_who_does_not_read() {
        let Stuck { lines, reader, .. } = stuck(SHORT);
        warn(&lines, "nobody reads\n");
        lines.close();
        log(&lines, "the last\n");
        drop(reader);
    }

    /// A pipe whose other end is gone.
    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (told, tells) = mpsc::channel();
        let lines =
            Lines::with_patience(SOON, Broken, move |number| told.send(number).unwrap_or_default()).unwrap();
        let (count, counted) = mpsc::channel();
        lines.count_dropped(move |number| count.send(number).unwrap_or_default());
        log(&lines, "1\n");
        warn(&lines, "2\n");
        assert_eq!(counted.try_iter().sum::<u64>(), 2);
        assert!(tells.try_recv().is_err(), "nobody would read that either");
    }
}
