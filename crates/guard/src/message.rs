//! What an MCP request asks for, read from its JSON-RPC body.
//!
//! The guard decides by the body, never by mirrored headers alone, and it reads the body as strictly as the
//! strictest server behind it might: a repeated member name, parameters by position, a method that is no string or
//! a name that only differs in letter case (Go and .NET readers take `Method` for `method`) are refused, because
//! two parsers could read them differently.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

pub(crate) mod encoding;
pub(crate) mod headers;
mod params;
mod quick;
mod values;

use params::{MAX_SUBSCRIPTIONS, Params};
use values::{Checked, Members, Text};

/// More messages than this in one batch are refused.
const MAX_BATCH: usize = 100;

/// The members of a JSON-RPC message.
const MESSAGE_MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The messages of one HTTP request, whose text lies in its body as far as nothing is escaped there.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope<'b> {
    pub(crate) messages: Vec<Message<'b>>,
    /// Whether the body was an array.
    pub(crate) batch: bool,
}

/// The members of one JSON-RPC message that decide about access.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Message<'b> {
    /// Absent in a response.
    pub(crate) method: Option<Cow<'b, str>>,
    /// The request's id, to be echoed in an error.
    pub(crate) id: Option<Value>,
    /// `params.name`, `params.uri` or `params.taskId`: what `Mcp-Name` mirrors for this method.
    pub(crate) target: Option<Cow<'b, str>>,
    /// What else is named that has scopes of its own: see [`prompts`](Self::prompts) and [`resources`](Self::resources).
    others: Others<'b>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`
    pub(crate) protocol_version: Option<Cow<'b, str>>,
}

/// Prompts and resources that are named elsewhere than in the target.
#[derive(Debug, Default, PartialEq)]
struct Others<'b> {
    prompt: Option<Cow<'b, str>>,
    resources: Vec<Cow<'b, str>>,
}

/// Why a body is not an MCP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// No JSON: JSON-RPC `-32700`.
    NotJson,
    /// JSON, but no JSON-RPC message or one that could be read in two ways: `-32600`.
    NotAMessage,
}

impl Message<'_> {
    /// The tool that this message calls.
    pub(crate) fn tool(&self) -> Option<&str> {
        match self.method.as_deref() {
            Some("tools/call") => self.target.as_deref(),
            _ => None,
        }
    }

    /// The prompts that this message gets or asks about (`completion/complete`).
    pub(crate) fn prompts(&self) -> impl Iterator<Item = &str> {
        let target = match self.method.as_deref() {
            Some("prompts/get") => self.target.as_deref(),
            _ => None,
        };
        target.into_iter().chain(self.others.prompt.as_deref())
    }

    /// The resources that this message reads, subscribes to (also by `subscriptions/listen`) or asks about
    /// (`completion/complete`, where it is a template).
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        let target = match self.method.as_deref() {
            Some("resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                self.target.as_deref()
            }
            _ => None,
        };
        let others = self.others.resources.iter().map(AsRef::as_ref);
        target.into_iter().chain(others)
    }

    /// Whether the answer is a list of tools, prompts, resources or templates.
    pub(crate) fn asks_for_a_list(&self) -> bool {
        matches!(
            self.method.as_deref(),
            Some("tools/list" | "prompts/list" | "resources/list" | "resources/templates/list")
        )
    }
}

impl<'b> Message<'b> {
    /// Adds what the parameters say. The error is why the message could be read in two ways, or not at all.
    fn complete(&mut self, params: Params<'b>) -> Result<(), &'static str> {
        if let Some(method) = self.method.as_deref() {
            if params.look_alike && (target_member(method).is_some() || names_others(method)) {
                return Err("a parameter name in another letter case");
            }
            self.target = match target_member(method) {
                Some("name") => params.name,
                Some("uri") => params.uri,
                Some(_) => params.task_id,
                None => None,
            };
            self.others = match method {
                "completion/complete" => params.reference,
                "subscriptions/listen" => params.subscriptions,
                _ => Others::default(),
            };
            if needs_target(method) && self.target.is_none() {
                return Err("the request does not say what it is for");
            }
        }
        self.protocol_version = params.protocol_version;
        Ok(())
    }
}

impl<'b> Envelope<'b> {
    /// Reads a whole request body.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, Malformed> {
        // At once for all of it, instead of string by string.
        let body = str::from_utf8(body).map_err(|_| Malformed::NotJson)?;
        if let Some(message) = quick::read(body) {
            let envelope = Self {
                messages: vec![message],
                batch: false,
            };
            debug_assert_eq!(Self::parse_strictly(body).as_ref(), Ok(&envelope));
            return Ok(envelope);
        }
        Self::parse_strictly(body)
    }

    fn parse_strictly(body: &'b str) -> Result<Self, Malformed> {
        serde_json::from_str(body).map_err(|error| {
            if error.is_data() {
                Malformed::NotAMessage
            } else {
                Malformed::NotJson
            }
        })
    }

    /// The id to answer an error to: that of the only message.
    pub(crate) fn id(&self) -> Option<&Value> {
        match self.messages.as_slice() {
            [only] if !self.batch => only.id.as_ref(),
            _ => None,
        }
    }
}

/// The parameter that `Mcp-Name` mirrors (2026-07-28 transport).
fn target_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// Whether a message of this method names prompts or resources in other parameters.
fn names_others(method: &str) -> bool {
    matches!(method, "completion/complete" | "subscriptions/listen")
}

/// Whether a message of this method must name its target.
fn needs_target(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON-RPC message or a batch of them")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Envelope<'de>, A::Error> {
                let message = MessageVisitor.visit_map(map)?;
                Ok(Envelope {
                    messages: vec![message],
                    batch: false,
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Envelope<'de>, A::Error> {
                let mut messages = Vec::new();
                let mut subscriptions = 0;
                while let Some(message) = seq.next_element::<Message>()? {
                    if messages.len() == MAX_BATCH {
                        return Err(A::Error::custom("too many messages"));
                    }
                    subscriptions += message.others.resources.len();
                    if subscriptions > MAX_SUBSCRIPTIONS {
                        return Err(A::Error::custom("too many subscriptions"));
                    }
                    messages.push(message);
                }
                if messages.is_empty() {
                    return Err(A::Error::custom("an empty batch"));
                }
                Ok(Envelope {
                    messages,
                    batch: true,
                })
            }
        }
        deserializer.deserialize_any(EnvelopeVisitor)
    }
}

impl<'de> Deserialize<'de> for Message<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
        let mut members = Members::default();
        let mut message = Message::default();
        let mut params = Params::default();
        while let Some(member) = members.next(&mut map)? {
            match &*member {
                "method" => message.method = Some(map.next_value::<Text>()?.0),
                "id" => message.id = Some(map.next_value::<RequestId>()?.0),
                "params" => params = map.next_value()?,
                other if resembles(other, &MESSAGE_MEMBERS) => {
                    return Err(A::Error::custom("a member name in another letter case"));
                }
                _ => {
                    map.next_value::<Checked>()?;
                }
            }
        }
        message.complete(params).map_err(A::Error::custom)?;
        Ok(message)
    }
}

/// Whether a reader that does not mind letter case takes `name` for one of `known`, which it is not.
fn resembles(name: &str, known: &[&str]) -> bool {
    if known.contains(&name) || name.len() > 32 {
        return false;
    }
    // Both ways, for characters such as the long s and the Kelvin sign that fold in one direction only.
    let folded = name.to_uppercase().to_lowercase();
    known.iter().any(|known| known.eq_ignore_ascii_case(&folded))
}

/// A JSON-RPC id: a string, a number or null.
struct RequestId(Value);

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            id @ (Value::String(_) | Value::Number(_) | Value::Null) => Ok(Self(id)),
            _ => Err(D::Error::custom("an id is a string or a number")),
        }
    }
}

#[cfg(test)]
mod tests;
