//! Events as JSON, one a line, without the detours of a general formatter: there is one for every request.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The same lines as those of the general formatter, which writes the events of spans and of the crate `log`.
pub(super) struct JsonLines {
    general: Format<Json>,
    second: Mutex<Second>,
}

impl JsonLines {
    pub(super) fn new() -> Self {
        Self {
            general: Format::default().json().flatten_event(true),
            second: Mutex::new(Second::default()),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What comes through the crate `log` has its target among its fields.
        let is_foreign = event.metadata().target() == "log";
        if is_foreign || event.parent().is_some() || context.lookup_current().is_some() {
            let mut line = String::new();
            self.general
                .format_event(context, Writer::new(&mut line), event)?;
            return write_visibly(&line, &mut writer);
        }
        let mut line = Line(Vec::with_capacity(512));
        line.bytes(b"{\"timestamp\":\"");
        self.timestamp(&mut line);
        line.bytes(b"\",\"level\":\"");
        line.bytes(event.metadata().level().as_str().as_bytes());
        line.bytes(b"\"");
        event.record(&mut line);
        line.entry("target", event.metadata().target());
        line.bytes(b"}\n");
        let line = std::str::from_utf8(&line.0).map_err(|_| fmt::Error)?;
        write_visibly(line, &mut writer)
    }
}

/// Writes a line of JSON, with an escape for what would act on a terminal instead of being shown, or turn around what
/// stands beside it: JSON lets it be, and all of it is in strings.
fn write_visibly(line: &str, writer: &mut Writer<'_>) -> fmt::Result {
    if line.is_ascii() && !line.contains('\u{7f}') {
        return writer.write_str(line);
    }
    let mut rest = line;
    while let Some((at, hidden)) = rest.char_indices().find(|(_, character)| is_hidden(*character)) {
        let (before, from) = rest.split_at(at);
        write!(writer, "{before}\\u{:04x}", u32::from(hidden))?;
        rest = from.get(hidden.len_utf8()..).unwrap_or_default();
    }
    writer.write_str(rest)
}

/// Controls beyond ASCII's first 32, separators of lines, and what changes the direction of writing.
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The text of the current second: it is the same for many lines.
#[derive(Default)]
struct Second {
    since_epoch: u64,
    text: String,
}

impl JsonLines {
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of a log line is the system's, whatever clock the server was handed"
    )]
    fn timestamp(&self, line: &mut Line) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let mut second = self
            .second
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if second.since_epoch != now.as_secs() || second.text.is_empty() {
            second.since_epoch = now.as_secs();
            second.text.clear();
            let seconds = i64::try_from(now.as_secs()).unwrap_or_default();
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
            let _ = write!(second.text, "{}", time.strftime("%Y-%m-%dT%H:%M:%S"));
        }
        line.bytes(second.text.as_bytes());
        drop(second);
        let _ = write!(line.0, ".{:06}Z", now.subsec_micros());
    }
}

/// A line that is being written.
struct Line(Vec<u8>);

impl Line {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Another member of the object. Names of fields are Rust's, and hold nothing that is escaped.
    fn entry(&mut self, name: &str, value: impl Serialize) {
        self.bytes(b",\"");
        self.bytes(name.as_bytes());
        self.bytes(b"\":");
        // What is written here can be JSON, and the memory takes it.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.entry(field.name(), format_args!("{}", Shown(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.entry(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field.name(), value);
    }
}

/// What a value says of itself, up to where it fails: a line without that end is better than none.
struct Shown<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = write!(f, "{:?}", self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::captured::Captured;
    use super::*;

    fn events() {
        let missing: Option<&str> = None;
        let evil = "a\"b\\c\r\n\t\u{8}\u{c}\u{1b}\u{7f}é\u{2028}\u{9b}[31m\u{202e}x\u{2066}€";
        tracing::info!(
            target: "doorward::request",
            request_id = %"0c91a451e3dd1f14", missing, method = "GET", status = 200_u16, ms = 0.125, "request",
        );
        tracing::warn!(evil, shown = %evil, debugged = ?evil, number = -7_i64, flag = true, "{evil}");
        tracing::error!(ms = f64::NAN, large = u64::MAX, tiny = 1e-7, whole = 3.0, "");
        tracing::info_span!("span", depth = 1).in_scope(|| tracing::info!(within = true, "in a span"));
    }

    /// The lines without their times, which are checked here.
    fn lines(captured: &Captured) -> Vec<String> {
        let text = captured.text();
        let mut lines = Vec::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let time = event["timestamp"].as_str().unwrap();
            time.parse::<jiff::Timestamp>().unwrap();
            assert_eq!(time.len(), "2026-11-21T00:46:50.171589Z".len());
            lines.push(line.replace(time, "now"));
        }
        lines
    }

    #[test]
    fn a_value_that_cannot_say_what_it_is_costs_nobody_the_line() {
        struct Mute;
        impl fmt::Debug for Mute {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("so far")?;
                Err(fmt::Error)
            }
        }
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().json();
        let own = subscriber
            .event_format(JsonLines::new())
            .with_writer(captured.clone());
        tracing::subscriber::with_default(own.finish(), || tracing::info!(mute = ?Mute, "told"));
        let line: Value = serde_json::from_str(&lines(&captured)[0]).unwrap();
        assert_eq!(
            (&line["mute"], &line["message"]),
            (&"so far".into(), &"told".into())
        );
    }

    #[test]
    fn lines_are_those_of_the_general_formatter_byte_for_byte() {
        let (ours, theirs) = (Captured::default(), Captured::default());
        let subscriber = || tracing_subscriber::fmt().json();
        let general = subscriber()
            .flatten_event(true)
            .with_writer(theirs.clone())
            .finish();
        tracing::subscriber::with_default(general, events);
        let own = subscriber()
            .event_format(JsonLines::new())
            .with_writer(ours.clone())
            .finish();
        tracing::subscriber::with_default(own, events);
        let but_for_what_is_hidden = |line: &String| {
            let hidden = [
                ('\u{7f}', "\\u007f"),
                ('\u{9b}', "\\u009b"),
                ('\u{2028}', "\\u2028"),
                ('\u{202e}', "\\u202e"),
                ('\u{2066}', "\\u2066"),
            ];
            hidden
                .iter()
                .fold(line.clone(), |line, (raw, escaped)| line.replace(*raw, escaped))
        };
        let theirs: Vec<_> = lines(&theirs).iter().map(but_for_what_is_hidden).collect();
        assert_eq!(lines(&ours), theirs);
        assert_eq!(theirs.len(), 4);
    }

    /// CSI of C1, DEL, and what turns the text around, also in what another formatter writes.
    #[test]
    fn nothing_in_a_line_acts_on_a_terminal() {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().json();
        let own = subscriber
            .event_format(JsonLines::new())
            .with_writer(captured.clone());
        tracing::subscriber::with_default(own.finish(), events);
        let text = captured.text();
        assert!(!text.contains(is_hidden), "{text:?}");
        let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert!(line["evil"].as_str().unwrap().ends_with("\u{202e}x\u{2066}€"));
    }
}
