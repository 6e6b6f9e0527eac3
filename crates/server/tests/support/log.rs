//! The log of a test: every line of its thread while the value lives.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use serde_json::Value;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct OfThisThread;

impl io::Write for OfThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Log(());

impl Log {
    pub fn start() -> Self {
        // One for the whole process: with one for each thread, a line that another thread came to first may count as
        // nobody's.
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
            let subscriber = subscriber.with_writer(|| OfThisThread).finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        LINES.set(Some(Vec::new()));
        Self(())
    }

    /// The lines since this was asked for the last time.
    #[expect(clippy::unused_self, reason = "there are none without it")]
    pub fn lines(&self) -> Vec<Value> {
        let text = LINES.replace(Some(Vec::new())).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The line of the last request.
    pub fn request(&self) -> Value {
        let mut lines = self.lines();
        lines.retain(|line| line["target"] == "doorward::request");
        lines.pop().expect("a request")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}
