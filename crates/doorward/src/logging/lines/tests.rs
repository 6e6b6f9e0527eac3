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

#[test]
fn who_waits_for_room_goes_on_when_lines_are_taken_and_not_when_they_are_written() {
    let Stuck { lines, reader, .. } = stuck(SOON);
    log(&lines, "first\n");
    while !lock(&lines.0.gathered).lines.is_empty() {
        thread::yield_now();
    }
    for _ in 0..4 {
        log(&lines, &part(4));
    }
    let (logging, (tell, told)) = (lines.clone(), mpsc::channel());
    thread::spawn(move || {
        log(&logging, &part(4));
        tell.send(()).unwrap();
    });
    while lock(&lines.0.gathered).waited_since.is_none() {
        thread::yield_now();
    }
    // The first line is written; the others are taken, and stand.
    reader.send(()).unwrap();
    assert_eq!(told.recv_timeout(SOON / 2), Ok(()));
    drop(reader);
}

#[test]
fn a_line_that_is_longer_than_the_room_is_written_where_nothing_else_waits() {
    let (lines, written) = lines();
    log(&lines, &"x".repeat(MOST_WAITING + 1));
    assert!(lock(&lines.0.gathered).waited_since.is_none());
    lines.close();
    assert_eq!(
        written.try_iter().map(|text| text.len()).sum::<usize>(),
        MOST_WAITING + 1
    );
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
    let began = Instant::now();
    while lock(&lines.0.gathered).waited_since.is_some() {
        assert!(began.elapsed() < SOON, "it is as if nobody read");
        thread::yield_now();
    }
    lines.close();
}

#[test]
fn the_end_does_not_wait_for_who_does_not_read() {
    let Stuck { lines, reader, .. } = stuck(SHORT);
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        warn(&lines, "nobody reads\n");
        lines.close();
        log(&lines, "the last\n");
        ended.send(()).unwrap();
    });
    assert_eq!(ends.recv_timeout(SOON), Ok(()));
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
