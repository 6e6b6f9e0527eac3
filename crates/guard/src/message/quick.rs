//! The usual message, read in one pass over its bytes.
//!
//! Most bodies are one object with few members and nothing escaped. This reader knows those and no errors: what it does
//! not understand to the last byte, it leaves to the strict reader. What it does read, the strict reader reads in the
//! same way: in builds with debug assertions, tests and fuzzing among them, both read and are compared.

use std::borrow::Cow;

use serde_json::Value;

use super::params::Params;
use super::values::Checked;
use super::{MESSAGE_MEMBERS, Message, params};
use crate::plain_text;

/// Longer bodies are left to the strict reader, whose start is nothing beside their length.
const MAX_LENGTH: usize = 4096;
/// So are objects with more members,
const MAX_MEMBERS: usize = 8;
/// deeper values,
const MAX_DEPTH: usize = 16;
/// and longer numbers: these fit in every kind of integer, whole.
const MAX_DIGITS: usize = 15;

/// The only message of the body.
pub(super) fn read(body: &str) -> Option<Message<'_>> {
    if body.len() > MAX_LENGTH {
        return None;
    }
    let mut reader = Reader { text: body, at: 0 };
    let (mut message, mut params) = (Message::default(), Params::default());
    reader.expect(b'{')?;
    reader.members(|reader, name| {
        match name {
            "method" => message.method = Some(Cow::Borrowed(reader.text()?)),
            "id" => message.id = Some(reader.id()?),
            "params" => params = reader.params()?,
            "jsonrpc" | "result" | "error" => drop(reader.value(MAX_DEPTH)?),
            other => reader.other(other, &MESSAGE_MEMBERS)?,
        }
        Some(())
    })?;
    reader.next().is_none().then_some(())?;
    message.complete(params).ok()?;
    Some(message)
}

/// What is left of the text.
struct Reader<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> Reader<'b> {
    fn params(&mut self) -> Option<Params<'b>> {
        let mut params = Params::default();
        match self.next()? {
            b'{' => self.at += 1,
            _ => return self.word("null").map(|()| params),
        }
        self.members(|reader, name| {
            match name {
                "name" => params.name = reader.value(MAX_DEPTH)?.into_text(),
                "uri" => params.uri = reader.value(MAX_DEPTH)?.into_text(),
                "taskId" => params.task_id = reader.value(MAX_DEPTH)?.into_text(),
                "arguments" => drop(reader.value(MAX_DEPTH)?),
                "_meta" => params.protocol_version = reader.protocol_version()?.into_text(),
                // Rare, and with rules of their own.
                "ref" | "notifications" => return None,
                other => reader.other(other, &params::MEMBERS)?,
            }
            Some(())
        })?;
        Some(params)
    }

    /// Of `_meta`.
    fn protocol_version(&mut self) -> Option<Checked<'b>> {
        let mut version = Checked::Other;
        match self.next()? {
            b'{' => self.at += 1,
            _ => return self.word("null").map(|()| version),
        }
        self.members(|reader, name| {
            let value = reader.value(MAX_DEPTH)?;
            if name == params::PROTOCOL_VERSION {
                version = value;
            }
            Some(())
        })?;
        Some(version)
    }

    /// A member that says nothing, unless somebody could take its name for one of `known`.
    fn other(&mut self, name: &str, known: &[&str]) -> Option<()> {
        let resembles = !name.is_ascii() || known.iter().any(|known| known.eq_ignore_ascii_case(name));
        if resembles {
            return None;
        }
        self.value(MAX_DEPTH).map(drop)
    }

    fn id(&mut self) -> Option<Value> {
        match self.next()? {
            b'"' => self.text().map(Value::from),
            b'0'..=b'9' => self.digits()?.parse::<u64>().ok().map(Value::from),
            _ => self.word("null").map(|()| Value::Null),
        }
    }

    /// Any value.
    fn value(&mut self, depth: usize) -> Option<Checked<'b>> {
        match self.next()? {
            b'"' => return self.text().map(|text| Checked::Text(Cow::Borrowed(text))),
            b'{' => {
                let depth = depth.checked_sub(1)?;
                self.at += 1;
                self.members(|reader, _| reader.value(depth).map(drop))?;
            }
            b'[' => self.items(depth.checked_sub(1)?)?,
            b'-' => {
                self.at += 1;
                self.digits()?;
            }
            b'0'..=b'9' => drop(self.digits()?),
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => return None,
        }
        Some(Checked::Other)
    }

    /// The members of an object that has been opened. No name comes twice.
    fn members(&mut self, mut each: impl FnMut(&mut Self, &'b str) -> Option<()>) -> Option<()> {
        if self.next()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let mut names = [""; MAX_MEMBERS];
        for count in 0..MAX_MEMBERS {
            let name = self.text()?;
            if names[..count].contains(&name) {
                return None;
            }
            names[count] = name;
            self.expect(b':')?;
            each(self, name)?;
            if self.is_over(b'}')? {
                return Some(());
            }
        }
        None
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        if self.next()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.is_over(b']')? {
                return Some(());
            }
        }
    }

    /// Whether `end` comes, after which there must be a comma otherwise.
    fn is_over(&mut self, end: u8) -> Option<bool> {
        let next = self.next()?;
        self.at += 1;
        (next == end || next == b',').then_some(next == end)
    }

    /// A string in which nothing is escaped.
    fn text(&mut self) -> Option<&'b str> {
        self.expect(b'"')?;
        let rest = self.text.get(self.at..)?;
        let text = plain_text::before_quote(rest)?;
        self.at += text.len() + 1;
        Some(text)
    }

    /// An integer. Whoever goes on after it finds no fraction and no exponent: neither is a comma or an end.
    fn digits(&mut self) -> Option<&'b str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_usual = matches!(length, 1..=MAX_DIGITS) && (length == 1 || !rest.starts_with('0'));
        self.at += length;
        is_usual.then(|| rest.get(..length)).flatten()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.next();
        self.text.get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// The next byte that is no white space, left where it is.
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
