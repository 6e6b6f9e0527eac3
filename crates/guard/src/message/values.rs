//! Values that are looked at without being kept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Objects with more members than this remember the others in a set.
const FEW: usize = 8;

/// The member names of one object; a repeated one is an error.
#[derive(Default)]
pub(super) struct Members<'de> {
    /// The first ones, if they stand in the document as they are: most objects need no memory for their names.
    few: [&'de str; FEW],
    count: usize,
    others: HashSet<Cow<'de, str>>,
}

impl<'de> Members<'de> {
    pub(super) fn next<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
        let Some(Text(name)) = map.next_key()? else {
            return Ok(None);
        };
        // To some readers, a name ends at a NUL.
        if name.contains('\0') {
            return Err(A::Error::custom("a NUL in a member name"));
        }
        if self.insert(name.clone()) {
            Ok(Some(name))
        } else {
            Err(A::Error::custom("a repeated member name"))
        }
    }

    /// Whether the name is new.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if self.few[..self.count].contains(&&*name) {
            return false;
        }
        match name {
            Cow::Borrowed(name) if self.count < FEW => {
                self.few[self.count] = name;
                self.count += 1;
                self.others.is_empty() || !self.others.contains(name)
            }
            name => self.others.insert(name),
        }
    }
}

/// A string, of the document itself where nothing in it is escaped.
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Any JSON value whose objects have no repeated member. Only a string's text is kept.
pub(super) enum Checked<'de> {
    Text(Cow<'de, str>),
    Other,
}

impl<'de> Checked<'de> {
    pub(super) fn into_text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Checked<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckedVisitor)
    }
}

struct CheckedVisitor;

impl<'de> Visitor<'de> for CheckedVisitor {
    type Value = Checked<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Checked<'de>, E> {
        Ok(Checked::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Checked<'de>, E> {
        Ok(Checked::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Checked<'de>, E> {
        Ok(Checked::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Checked<'de>, E> {
        Ok(Checked::Other)
    }
    fn visit_unit<E>(self) -> Result<Checked<'de>, E> {
        Ok(Checked::Other)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Checked<'de>, E> {
        Ok(Checked::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Checked<'de>, E> {
        Ok(Checked::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Checked<'de>, A::Error> {
        while seq.next_element::<Checked>()?.is_some() {}
        Ok(Checked::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked<'de>, A::Error> {
        let mut members = Members::default();
        while members.next(&mut map)?.is_some() {
            map.next_value::<Checked>()?;
        }
        Ok(Checked::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(names: impl Iterator<Item = String>) -> bool {
        let members: Vec<_> = names.map(|name| format!("\"{name}\":0")).collect();
        let document = format!("{{{}}}", members.join(","));
        serde_json::from_str::<Checked>(&document).is_err()
    }

    #[test]
    fn a_repeated_name_is_found_in_objects_of_any_size() {
        for size in [1, 2, FEW - 1, FEW, FEW + 1, 5 * FEW] {
            let name = |number: usize| format!("m{number}");
            assert!(!is_refused((0..size).map(name)), "{size}");
            for repeated in [0, size / 2, size - 1] {
                assert!(
                    is_refused((0..size).chain([repeated]).map(name)),
                    "{size} {repeated}"
                );
                // The same name, written in another way.
                let escaped = format!("\\u006d{repeated}");
                assert!(
                    is_refused((0..size).map(name).chain([escaped])),
                    "{size} {repeated}"
                );
            }
        }
    }
}
