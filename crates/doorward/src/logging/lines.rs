//! Log lines on their way out: a moment's lines are written at once, so that a busy server does not pay a system call for
//! each.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The longest time that a line waits for others.
const PAUSE: Duration = Duration::from_millis(5);

/// With so many bytes waiting, whoever logs writes them out, and so waits for whoever reads them.
const MOST_WAITING: usize = 256 * 1024;

/// Where lines are gathered; clones share it.
pub(super) struct Lines<W>(Arc<Shared<W>>);

struct Shared<W> {
    waiting: Mutex<Vec<u8>>,
    came: Condvar,
    out: Mutex<Out<W>>,
    /// Nothing waits any more.
    is_closed: AtomicBool,
}

struct Out<W> {
    to: W,
    lines: Vec<u8>,
}

impl<W> Clone for Lines<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Lines go to `to`.
    pub(super) fn new(to: W) -> Self {
        let lines = Self(Arc::new(Shared {
            waiting: Mutex::default(),
            came: Condvar::new(),
            out: Mutex::new(Out {
                to,
                lines: Vec::new(),
            }),
            is_closed: AtomicBool::new(false),
        }));
        let shared = Arc::clone(&lines.0);
        let writer = thread::Builder::new().name("log".to_owned());
        if writer.spawn(move || shared.write_for_ever()).is_err() {
            // Without the thread that writes, everybody writes.
            lines.close();
        }
        lines
    }

    /// Writes what waits, and every further line as it comes.
    pub(super) fn close(&self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        self.0.write_out();
        self.0.came.notify_one();
    }
}

impl<W: Write> Shared<W> {
    fn write_for_ever(&self) {
        while !self.is_closed.load(Ordering::SeqCst) {
            let mut waiting = lock(&self.waiting);
            while waiting.is_empty() && !self.is_closed.load(Ordering::SeqCst) {
                waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            thread::sleep(PAUSE);
            self.write_out();
        }
    }

    /// Writes what waits. The lock on the way out keeps the order of the lines.
    fn write_out(&self) {
        let mut out = lock(&self.out);
        let Out { to, lines } = &mut *out;
        mem::swap(&mut *lock(&self.waiting), lines);
        // There is nobody to tell that nobody reads the log.
        let _ = write_all(to, lines).and_then(|()| to.flush());
        lines.clear();
    }
}

/// As [`Write::write_all`], and waits where a pipe was made not to.
fn write_all(to: &mut impl Write, mut lines: &[u8]) -> io::Result<()> {
    while !lines.is_empty() {
        match to.write(lines) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => lines = lines.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line {
            shared: &self.0,
            waits: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a, W> {
        Line {
            shared: &self.0,
            // What went wrong may be the last that is heard of this process.
            waits: *metadata.level() > Level::WARN,
        }
    }
}

/// One line.
pub(super) struct Line<'a, W> {
    shared: &'a Shared<W>,
    waits: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = lock(&self.shared.waiting);
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(bytes);
        let is_much = waiting.len() >= MOST_WAITING;
        drop(waiting);
        if is_much || !self.waits || self.shared.is_closed.load(Ordering::SeqCst) {
            self.shared.write_out();
        } else if is_first {
            self.shared.came.notify_one();
        }
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

    fn lines() -> (Lines<Told>, mpsc::Receiver<String>) {
        let (told, written) = mpsc::channel();
        (Lines::new(Told(told)), written)
    }

    fn log(lines: &Lines<Told>, text: &str) {
        lines.make_writer().write_all(text.as_bytes()).unwrap();
    }

    fn log_and_wait(lines: &Lines<Told>, text: &str) {
        let mut line = lines.make_writer();
        line.waits = true;
        line.write_all(text.as_bytes()).unwrap();
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn lines_of_one_moment_are_written_at_once_in_their_order() {
        let (lines, written) = lines();
        let mut expected = String::new();
        for number in 0..1000 {
            let line = format!("{number}\n");
            log_and_wait(&lines, &line);
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
    fn a_warning_does_not_wait_and_takes_along_what_came_before() {
        let (lines, written) = lines();
        log_and_wait(&lines, "1\n");
        log(&lines, "2\n");
        let mut text = String::new();
        while let Ok(more) = written.try_recv() {
            text.push_str(&more);
        }
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
        let lines = Lines::new(Full(told, false));
        lines.make_writer().write_all(b"first line\n").unwrap();
        lines.make_writer().write_all(b"second line\n").unwrap();
        let text: String = written.try_iter().collect();
        assert_eq!(text, "first line\nsecond line\n");
    }

    #[test]
    fn nothing_waits_when_the_log_is_closed() {
        let (lines, written) = lines();
        log_and_wait(&lines, "1\n");
        lines.close();
        log_and_wait(&lines, "2\n");
        let text: String = written.try_iter().collect();
        assert_eq!(text, "1\n2\n");
    }

    #[test]
    fn who_logs_too_much_waits_for_who_reads() {
        let (lines, written) = lines();
        // The writing thread is kept away.
        let out = lock(&lines.0.out);
        let logging = lines.clone();
        let logger = thread::spawn(move || {
            for _ in 0..3 {
                log_and_wait(&logging, &"x".repeat(MOST_WAITING / 2));
            }
        });
        while lock(&lines.0.waiting).len() < MOST_WAITING {
            thread::yield_now();
        }
        assert!(!logger.is_finished());
        drop(out);
        logger.join().unwrap();
        lines.close();
        let written: usize = written.try_iter().map(|text| text.len()).sum();
        assert_eq!(written, MOST_WAITING / 2 * 3);
    }
}
