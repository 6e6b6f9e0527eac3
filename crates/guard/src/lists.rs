//! Leaves out of lists what a token may not call.
//!
//! An answer is told by its shape: `result` with `tools`, `prompts`, `resources` or `resourceTemplates`. Only items are cut
//! out; every other byte stays as the server wrote it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::claims::Claims;
use crate::scopes::Hidden;
use crate::terms::Terms;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lists<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    prompts: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_templates: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri_template: Option<Cow<'a, str>>,
}

/// The body without the items that are hidden; `None` when there are none.
pub(crate) fn filter(body: &[u8], hidden: &Hidden<'_>) -> Option<Bytes> {
    let mut cuts = Vec::new();
    match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(batch) => {
            for message in batch {
                cut_message(body, message.get().as_bytes(), hidden, &mut cuts);
            }
        }
        Err(_) => cut_message(body, body, hidden, &mut cuts),
    }
    if cuts.is_empty() {
        return None;
    }
    cuts.sort_unstable_by_key(|cut| cut.range.start);
    let mut filtered = Vec::with_capacity(body.len());
    let mut kept_to = 0;
    for cut in cuts {
        filtered.extend_from_slice(&body[kept_to..cut.range.start]);
        filtered.push(b'[');
        filtered.extend_from_slice(cut.kept.join(",").as_bytes());
        filtered.push(b']');
        kept_to = cut.range.end;
    }
    filtered.extend_from_slice(&body[kept_to..]);
    Some(filtered.into())
}

/// A list in the body, and what stays of it.
struct Cut<'b> {
    range: Range<usize>,
    kept: Vec<&'b str>,
}

fn cut_message<'b>(body: &[u8], message: &'b [u8], hidden: &Hidden<'_>, cuts: &mut Vec<Cut<'b>>) {
    let Ok(Message { result: Some(result) }) = serde_json::from_slice(message) else {
        return;
    };
    let Ok(lists) = serde_json::from_str::<Lists<'b>>(result.get()) else {
        return;
    };
    let by_name =
        |item: &Item<'_>, is_hidden: &dyn Fn(&str) -> bool| item.name.as_deref().is_some_and(is_hidden);
    let by_uri = |item: &Item<'_>| {
        let uri = item.uri.as_deref().or(item.uri_template.as_deref());
        uri.is_some_and(|uri| hidden.resource(uri))
    };
    let mut cut = |list: Option<&'b RawValue>, is_hidden: &dyn Fn(&Item<'_>) -> bool| {
        cuts.extend(list.and_then(|list| cut_list(body, list, is_hidden)));
    };
    cut(lists.tools, &|item| by_name(item, &|name| hidden.tool(name)));
    cut(lists.prompts, &|item| by_name(item, &|name| hidden.prompt(name)));
    cut(lists.resources, &by_uri);
    cut(lists.resource_templates, &by_uri);
}

fn cut_list<'b>(body: &[u8], list: &'b RawValue, is_hidden: &dyn Fn(&Item<'_>) -> bool) -> Option<Cut<'b>> {
    let items: Vec<&'b RawValue> = serde_json::from_str(list.get()).ok()?;
    let all = items.len();
    let is_kept = |item: &&RawValue| {
        // What has no readable name cannot be called by one.
        serde_json::from_str::<Item<'_>>(item.get()).map_or(true, |item| !is_hidden(&item))
    };
    let kept: Vec<_> = items.into_iter().filter(is_kept).map(RawValue::get).collect();
    // `list` is a part of `body`: it was read without copying.
    let start = list.get().as_ptr().addr() - body.as_ptr().addr();
    (kept.len() < all).then(|| Cut {
        range: start..start + list.get().len(),
        kept,
    })
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
}

impl EventFilter {
    pub(crate) fn new(terms: Arc<Terms>, claims: Claims, max_event: usize) -> Self {
        Self {
            terms,
            claims,
            max_event,
            pending: Vec::new(),
            line: 0,
        }
    }

    /// Takes the next part of the stream and gives the events that are complete with it. They end with an empty line, and
    /// lines with `LF` or `CRLF`. What is left when the stream has ended is no event.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an event is larger than the guard's largest body: the stream must end then.
    pub fn push(&mut self, part: &[u8]) -> Result<Bytes, EventTooLarge> {
        let mut complete = Vec::new();
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.pending.len() + piece.len() > self.max_event {
                return Err(EventTooLarge);
            }
            self.pending.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            let is_end = matches!(&self.pending[self.line..], b"\n" | b"\r\n");
            self.line = self.pending.len();
            if is_end {
                self.flush(&mut complete);
            }
        }
        Ok(complete.into())
    }

    fn flush(&mut self, complete: &mut Vec<u8>) {
        let event = std::mem::take(&mut self.pending);
        self.line = 0;
        match self.filtered(&event) {
            Some(filtered) => complete.extend_from_slice(&filtered),
            None => complete.extend_from_slice(&event),
        }
    }

    fn filtered(&self, event: &[u8]) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        let mut others = Vec::new();
        // A lone CR ends a line as well, for those who read the stream.
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
