//! The parameters that decide about access.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Checked, Members, Others, resembles};

const MEMBERS: [&str; 7] = [
    "name",
    "uri",
    "taskId",
    "arguments",
    "_meta",
    "ref",
    "notifications",
];
/// Of `ref` (`completion/complete`).
const REFERENCE_MEMBERS: [&str; 3] = ["type", "name", "uri"];
/// Of `notifications` (`subscriptions/listen`).
const SUBSCRIPTIONS: &str = "resourceSubscriptions";
/// More resources than this in one request are refused: each is matched with every pattern.
const MAX_SUBSCRIPTIONS: usize = 1_000;

#[derive(Default)]
pub(super) struct Params {
    pub(super) name: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) task_id: Option<String>,
    pub(super) protocol_version: Option<String>,
    /// `ref`. Its `type` is not looked at: whichever way a server tells prompts from resources, the scopes are asked for.
    pub(super) reference: Others,
    /// `notifications`
    pub(super) subscriptions: Others,
    /// Whether a name was there that only differs in letter case from one that counts.
    pub(super) look_alike: bool,
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(Self::default()))
    }
}

/// An object whose members are known one by one.
trait Known: Default {
    /// Whether another kind of value may stand in its place, which then says nothing.
    const LOOSE: bool = false;

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads one: `null` is as good as nothing, a repeated member is an error.
struct Object<K>(K);

impl<K: Known> Object<K> {
    fn other<E: serde::de::Error>(self, what: &str) -> Result<K, E> {
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

impl<'de, K: Known> Visitor<'de> for Object<K> {
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

impl Known for Params {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
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

impl<'de, K: Known> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(K::default())).map(Self)
    }
}

#[derive(Default)]
struct Meta {
    protocol_version: Option<String>,
}

impl Known for Meta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Checked>()?;
        if name == "io.modelcontextprotocol/protocolVersion" {
            self.protocol_version = value.into_text();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Reference {
    name: Option<String>,
    uri: Option<String>,
    look_alike: bool,
}

impl Known for Reference {
    const LOOSE: bool = true;

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
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
struct Filter {
    resources: Vec<String>,
    look_alike: bool,
}

impl Known for Filter {
    const LOOSE: bool = true;

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
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
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
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
