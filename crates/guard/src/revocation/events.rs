//! Server-sent events (WHATWG HTML, §9.2.6): bytes become events, within bounds.

/// The longest line, in bytes.
const MAX_LINE: usize = 8 * 1024;
/// The most data of one event, in bytes.
const MAX_DATA: usize = 16 * 1024;

/// An event. Fields that were not there are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) data: String,
}

/// The stream is no event stream, or one with lines without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a carriage return: a line feed behind it belongs to it.
    after_return: bool,
    begun: bool,
}

impl Parser {
    /// Takes the next bytes, and adds the events that they complete to `events`.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Unreadable> {
        for &byte in bytes {
            let ends_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if ends_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_of_line(&line)?);
                    self.line = line;
                    self.line.clear();
                }
                _ if self.line.len() == MAX_LINE => return Err(Unreadable),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<Event>, Unreadable> {
        let mut line = std::str::from_utf8(line).map_err(|_| Unreadable)?;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                let data = &mut self.event.data;
                if self.has_data {
                    data.push('\n');
                }
                if data.len() + value.len() > MAX_DATA {
                    return Err(Unreadable);
                }
                data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.event.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.event.id),
            // Comments, `retry`, and what is yet to come.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Result<Vec<Event>, Unreadable> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events)?;
        }
        Ok(events)
    }

    fn event(id: &str, kind: &str, data: &str) -> Event {
        Event {
            id: id.to_owned(),
            kind: kind.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_are_read_whatever_ends_the_lines_and_wherever_the_pieces_end() {
        let expected = vec![event("7", "revocation", "{\"gid\":\"x\"}"), event("", "", "a\nb")];
        for end in ["\n", "\r", "\r\n"] {
            let text = format!(
                "\u{feff}retry: 1000{end}{end}: alive{end}{end}id: 7{end}event:revocation{end}data: {{\"gid\":\"x\"}}{end}{end}data: a{end}data: b{end}{end}"
            );
            assert_eq!(parse(&[text.as_bytes()]), Ok(expected.clone()), "{end:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytes), Ok(expected.clone()), "{end:?}");
        }
    }

    #[test]
    fn an_event_without_data_or_without_an_end_is_none() {
        assert_eq!(parse(&[b"id: 7\nevent: ready\n\n"]), Ok(vec![]));
        assert_eq!(parse(&[b"event: ready\ndata: {}\n"]), Ok(vec![]));
        assert_eq!(parse(&[b"data\n\n"]), Ok(vec![event("", "", "")]));
        assert_eq!(parse(&[b"event: a\n\ndata: b\n\n"]), Ok(vec![event("", "", "b")]));
        assert_eq!(parse(&[b"id: a\0b\ndata:  b\n\n"]), Ok(vec![event("", "", " b")]));
    }

    #[test]
    fn nothing_grows_without_end() {
        let long = vec![b'x'; MAX_LINE + 1];
        assert_eq!(parse(&[&long]), Err(Unreadable));
        assert!(parse(&[&long[1..], b"\n"]).is_ok());
        let line = [b"data: ", &long[..MAX_LINE - 10], b"\n"].concat();
        assert_eq!(parse(&[&line, &line, &line]), Err(Unreadable));
        assert_eq!(parse(&[b"data: \xff\n\n"]), Err(Unreadable));
    }
}
