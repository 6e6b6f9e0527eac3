//! Leaves out of lists what a token may not call.
//!
//! An answer is told by its shape: `result` with `tools`, `prompts`, `resources` or `resourceTemplates`. Only items are cut
//! out; every other byte stays as the server wrote it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::claims::Claims;
use crate::scopes::Hidden;
use crate::terms::Terms;

/// Readers skip it at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The body without the items that are hidden; `None` when there are none.
pub(crate) fn filter(body: &[u8], hidden: &Hidden<'_>) -> Option<Bytes> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // Many readers put a replacement character where the UTF-8 is bad, and read on.
    let text = String::from_utf8_lossy(body);
    let mut cuts = Vec::new();
    match serde_json::from_str::<Vec<&RawValue>>(&text) {
        Ok(batch) => {
            for message in batch {
                cut_message(&text, message.get(), hidden, &mut cuts);
            }
        }
        Err(_) => cut_message(&text, &text, hidden, &mut cuts),
    }
    if cuts.is_empty() {
        return None;
    }
    cuts.sort_unstable_by_key(|cut| cut.range.start);
    let mut filtered = String::with_capacity(text.len());
    let mut kept_to = 0;
    for cut in cuts {
        filtered.push_str(&text[kept_to..cut.range.start]);
        filtered.push('[');
        filtered.push_str(&cut.kept.join(","));
        filtered.push(']');
        kept_to = cut.range.end;
    }
    filtered.push_str(&text[kept_to..]);
    Some(filtered.into())
}

/// A list in the body, and what stays of it.
struct Cut<'b> {
    range: Range<usize>,
    kept: Vec<&'b str>,
}

/// A member that is repeated counts each time: readers differ in which one they take.
fn cut_message<'b>(body: &str, message: &'b str, hidden: &Hidden<'_>, cuts: &mut Vec<Cut<'b>>) {
    each_member(message, |name, result| {
        if name == b"result" {
            each_member(result.get(), |name, list| {
                cuts.extend(cut_list(body, name, list, hidden));
            });
        }
    });
}

fn cut_list<'b>(body: &str, list_name: &[u8], list: &'b RawValue, hidden: &Hidden<'_>) -> Option<Cut<'b>> {
    let is_hidden = |member: &[u8], named: &str| match (list_name, member) {
        (b"tools", b"name") => hidden.tool(named),
        (b"prompts", b"name") => hidden.prompt(named),
        (b"resources" | b"resourceTemplates", b"uri" | b"uriTemplate") => hidden.resource(named),
        _ => false,
    };
    let items: Vec<&'b RawValue> = serde_json::from_str(list.get()).ok()?;
    let all = items.len();
    let is_kept = |item: &&RawValue| {
        let mut is_kept = true;
        each_member(item.get(), |member, value| {
            // What has no readable name cannot be called by one.
            is_kept &=
                !serde_json::from_str::<String>(value.get()).is_ok_and(|named| is_hidden(member, &named));
        });
        is_kept
    };
    let kept: Vec<_> = items.into_iter().filter(is_kept).map(RawValue::get).collect();
    // `list` is a part of `body`: it was read without copying.
    let start = list.get().as_ptr().addr() - body.as_ptr().addr();
    (kept.len() < all).then(|| Cut {
        range: start..start + list.get().len(),
        kept,
    })
}

/// Calls `found` with every member of an object; other values have none.
fn each_member<'b>(object: &'b str, found: impl FnMut(&[u8], &'b RawValue)) {
    // What stops it is no JSON to any reader.
    let _ = serde_json::Deserializer::from_str(object).deserialize_map(Members(found));
}

struct Members<F>(F);

impl<'b, F: FnMut(&[u8], &'b RawValue)> Visitor<'b> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key_seed(Name)? {
            (self.0)(&name, members.next_value()?);
        }
        Ok(())
    }
}

/// The name of a member. Bytes, because half of a surrogate pair is no text and would hide what follows.
struct Name;

impl<'b> DeserializeSeed<'b> for Name {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Vec<u8>, E> {
        Ok(name.to_vec())
    }
}

/// An event of a stream is larger than the guard reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the MCP server is too large to be looked into")]
pub struct EventTooLarge;

/// Leaves out of the lists in an event stream (`text/event-stream`) what the token may not call. Made by
/// [`Visit::event_filter`](crate::Visit::event_filter).
pub struct EventFilter {
    terms: Arc<Terms>,
    claims: Claims,
    max_event: usize,
    /// Bytes of the event that is not complete.
    pending: Vec<u8>,
    /// Where in it the present line begins.
    line: usize,
    /// Whether the last byte was a carriage return: a line feed behind it belongs to it.
    after_return: bool,
    /// Whether the last event went on as it was.
    unchanged: bool,
    /// Whether there was an event before.
    begun: bool,
}

impl EventFilter {
    pub(crate) fn new(terms: Arc<Terms>, claims: Claims, max_event: usize) -> Self {
        Self {
            terms,
            claims,
            max_event,
            pending: Vec::new(),
            line: 0,
            after_return: false,
            unchanged: true,
            begun: false,
        }
    }

    /// Takes the next part of the stream and gives the events that are complete with it. They end with an empty line, and
    /// lines with `LF`, `CRLF` or `CR`. What is left when the stream has ended is no event.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an event is larger than the guard's largest body: the stream must end then.
    pub fn push(&mut self, part: &[u8]) -> Result<Bytes, EventTooLarge> {
        let mut complete = Vec::new();
        for &byte in part {
            let ends_return = std::mem::take(&mut self.after_return);
            if byte == b'\n' && ends_return && self.pending.is_empty() {
                // Of the line that ended the event before.
                complete.extend(self.unchanged.then_some(byte));
                continue;
            }
            if self.pending.len() == self.max_event {
                return Err(EventTooLarge);
            }
            self.pending.push(byte);
            if byte == b'\n' && ends_return {
                self.line = self.pending.len();
            } else if matches!(byte, b'\n' | b'\r') {
                self.after_return = byte == b'\r';
                let is_empty = self.line + 1 == self.pending.len();
                self.line = self.pending.len();
                if is_empty {
                    self.flush(&mut complete);
                }
            }
        }
        Ok(complete.into())
    }

    fn flush(&mut self, complete: &mut Vec<u8>) {
        let event = std::mem::take(&mut self.pending);
        self.line = 0;
        let filtered = self.filtered(&event);
        self.begun = true;
        self.unchanged = filtered.is_none();
        complete.extend_from_slice(&filtered.unwrap_or(event));
    }

    fn filtered(&self, event: &[u8]) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        let mut others = Vec::new();
        let event = match event.strip_prefix(BYTE_ORDER_MARK) {
            Some(event) if !self.begun => event,
            _ => event,
        };
        for line in event
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .filter(|line| !line.is_empty())
        {
            match line.strip_prefix(b"data:") {
                Some(value) => {
                    data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
                    data.push(b'\n');
                }
                None => others.push(line),
            }
        }
        let hidden = self.terms.scopes.hidden(&self.claims.scopes);
        let filtered = filter(&data, &hidden)?;
        let mut event = Vec::with_capacity(filtered.len() + 64);
        for line in others {
            event.extend_from_slice(line);
            event.push(b'\n');
        }
        for line in filtered
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            event.extend_from_slice(b"data: ");
            event.extend_from_slice(line);
            event.push(b'\n');
        }
        event.push(b'\n');
        Some(event)
    }
}

impl std::fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventFilter").finish_non_exhaustive()
    }
}
