//! The parameters that decide about access.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Checked, Members, Others, resembles};

pub(super) const MEMBERS: [&str; 7] = [
    "name",
    "uri",
    "taskId",
    "arguments",
    "_meta",
    "ref",
    "notifications",
];
/// Of `_meta`.
pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Of `ref` (`completion/complete`).
const REFERENCE_MEMBERS: [&str; 3] = ["type", "name", "uri"];
/// Of `notifications` (`subscriptions/listen`).
const SUBSCRIPTIONS: &str = "resourceSubscriptions";
/// More resources than this in one request, all its messages together, are refused: each is matched with every pattern.
pub(super) const MAX_SUBSCRIPTIONS: usize = 1_000;

#[derive(Default)]
pub(super) struct Params<'b> {
    pub(super) name: Option<Cow<'b, str>>,
    pub(super) uri: Option<Cow<'b, str>>,
    pub(super) task_id: Option<Cow<'b, str>>,
    pub(super) protocol_version: Option<Cow<'b, str>>,
    /// `ref`. Its `type` is not looked at: whichever way a server tells prompts from resources, the scopes are asked for.
    pub(super) reference: Others<'b>,
    /// `notifications`
    pub(super) subscriptions: Others<'b>,
    /// Whether a name was there that only differs in letter case from one that counts.
    pub(super) look_alike: bool,
}

impl<'de> Deserialize<'de> for Params<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(Self::default()))
    }
}

/// An object whose members are known one by one.
trait Known<'de>: Default {
    /// Whether another kind of value may stand in its place, which then says nothing.
    const LOOSE: bool = false;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads one: `null` is as good as nothing, a repeated member is an error.
struct Object<K>(K);

impl<K> Object<K> {
    fn other<'de, E: serde::de::Error>(self, what: &str) -> Result<K, E>
    where
        K: Known<'de>,
    {
        if K::LOOSE {
            Ok(self.0)
        } else {
            Err(E::invalid_type(
                serde::de::Unexpected::Other(what),
                &"members by name",
            ))
        }
    }
}

impl<'de, K: Known<'de>> Visitor<'de> for Object<K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("members by name")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<K, E> {
        Ok(self.0)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<K, E> {
        self.other("a boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<K, E> {
        self.other("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<K, E> {
        self.other("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<K, E> {
        self.other("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<K, E> {
        self.other("a string")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<K, A::Error> {
        while seq.next_element::<Checked>()?.is_some() {}
        self.other("an array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<K, A::Error> {
        let mut members = Members::default();
        while let Some(member) = members.next(&mut map)? {
            self.0.member(&member, &mut map)?;
        }
        Ok(self.0)
    }
}

impl<'de> Known<'de> for Params<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.name = map.next_value::<Checked>()?.into_text(),
            "uri" => self.uri = map.next_value::<Checked>()?.into_text(),
            "taskId" => self.task_id = map.next_value::<Checked>()?.into_text(),
            "_meta" => self.protocol_version = map.next_value::<Read<Meta>>()?.0.protocol_version,
            "ref" => {
                let reference = map.next_value::<Read<Reference>>()?.0;
                self.look_alike |= reference.look_alike;
                self.reference = Others {
                    prompt: reference.name,
                    resources: reference.uri.into_iter().collect(),
                };
            }
            "notifications" => {
                let filter = map.next_value::<Read<Filter>>()?.0;
                self.look_alike |= filter.look_alike;
                self.subscriptions.resources = filter.resources;
            }
            other => {
                self.look_alike |= resembles(other, &MEMBERS);
                map.next_value::<Checked>()?;
            }
        }
        Ok(())
    }
}

struct Read<K>(K);

impl<'de, K: Known<'de>> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(K::default())).map(Self)
    }
}

#[derive(Default)]
struct Meta<'b> {
    protocol_version: Option<Cow<'b, str>>,
}

impl<'de> Known<'de> for Meta<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Checked>()?;
        if name == PROTOCOL_VERSION {
            self.protocol_version = value.into_text();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Reference<'b> {
    name: Option<Cow<'b, str>>,
    uri: Option<Cow<'b, str>>,
    look_alike: bool,
}

impl<'de> Known<'de> for Reference<'de> {
    const LOOSE: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Checked>()?;
        match name {
            "name" => self.name = value.into_text(),
            "uri" => self.uri = value.into_text(),
            other => self.look_alike |= resembles(other, &REFERENCE_MEMBERS),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Filter<'b> {
    resources: Vec<Cow<'b, str>>,
    look_alike: bool,
}

impl<'de> Known<'de> for Filter<'de> {
    const LOOSE: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name == SUBSCRIPTIONS {
            self.resources = map.next_value::<Texts>()?.0;
        } else {
            self.look_alike |= resembles(name, &[SUBSCRIPTIONS]);
            map.next_value::<Checked>()?;
        }
        Ok(())
    }
}

/// The strings of an array; `null` has none.
struct Texts<'b>(Vec<Cow<'b, str>>);

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Texts<'de>, E> {
                Ok(Texts(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts<'de>, A::Error> {
                let mut texts = Vec::new();
                while let Some(item) = seq.next_element::<Checked>()? {
                    if texts.len() == MAX_SUBSCRIPTIONS {
                        return Err(A::Error::custom("too many subscriptions"));
                    }
                    texts.extend(item.into_text());
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}
