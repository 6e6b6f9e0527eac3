//! An object read member by member, with the same rules and without building it.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{MAX_DEPTH, Strict};
use crate::JoseError;

/// The member has another type, or a value that its reader does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// A value that often is a string.
#[derive(Debug, Clone, PartialEq)]
pub enum TextOrAny<'de> {
    /// A string.
    Text(Cow<'de, str>),
    /// Anything else.
    Any(Value),
}

/// The value of one member. Whoever gets it takes it in one of these forms.
pub struct Member<'m, 'de>(&'m mut dyn Source<'de>);

impl<'de> Member<'_, 'de> {
    /// A string; borrowed from the document where nothing is escaped.
    ///
    /// # Errors
    /// [`Refused`] for another type.
    pub fn string(self) -> Result<Cow<'de, str>, Refused> {
        self.0.string()
    }

    /// A string as [`Member::string`] gives it, or whatever else it is.
    ///
    /// # Errors
    /// [`Refused`] when it breaks a rule of [`super`].
    pub fn text_or_any(self) -> Result<TextOrAny<'de>, Refused> {
        self.0.text_or_any()
    }

    /// Whatever it is.
    ///
    /// # Errors
    /// [`Refused`] when it breaks a rule of [`super`].
    pub fn any(self) -> Result<Value, Refused> {
        self.0.any()
    }

    /// Nothing: only the rules are checked.
    ///
    /// # Errors
    /// [`Refused`] when it breaks a rule of [`super`].
    pub fn skip(self) -> Result<(), Refused> {
        self.0.skip()
    }
}

/// Reads one JSON text that must be an object: `read` is called with every member, in the order of the document, and must
/// take its value. The rules are those of [`from_slice`](super::from_slice), for what is skipped as well.
///
/// # Errors
/// Those of [`from_slice`](super::from_slice); [`JoseError::Malformed`] also when `read` refuses.
pub fn members<'de>(
    document: &'de [u8],
    mut read: impl FnMut(&str, Member<'_, 'de>) -> Result<(), Refused>,
) -> Result<(), JoseError> {
    let fault = Cell::new(JoseError::Malformed);
    // Once for all strings in it, instead of once for each.
    let document = std::str::from_utf8(document).map_err(|_| JoseError::Malformed)?;
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let object = Object {
        read: &mut read,
        strict: Strict {
            levels_left: MAX_DEPTH - 1,
            fault: &fault,
        },
    };
    deserializer
        .deserialize_map(object)
        .and_then(|()| deserializer.end())
        .map_err(|_| fault.get())
}

trait Source<'de> {
    fn string(&mut self) -> Result<Cow<'de, str>, Refused>;
    fn text_or_any(&mut self) -> Result<TextOrAny<'de>, Refused>;
    fn any(&mut self) -> Result<Value, Refused>;
    fn skip(&mut self) -> Result<(), Refused>;
}

/// The value at which a map stands.
struct Next<'f, A> {
    map: A,
    strict: Strict<'f>,
}

impl<'de, A: MapAccess<'de>> Source<'de> for Next<'_, A> {
    fn string(&mut self) -> Result<Cow<'de, str>, Refused> {
        self.map.next_value_seed(Text).map_err(|_| Refused)
    }

    fn text_or_any(&mut self) -> Result<TextOrAny<'de>, Refused> {
        let seed = TextFirst(self.strict);
        self.map.next_value_seed(seed).map_err(|_| Refused)
    }

    fn any(&mut self) -> Result<Value, Refused> {
        self.map.next_value_seed(self.strict).map_err(|_| Refused)
    }

    fn skip(&mut self) -> Result<(), Refused> {
        self.map.next_value_seed(Skip(self.strict)).map_err(|_| Refused)
    }
}

struct Object<'r, 'f, R> {
    read: &'r mut R,
    strict: Strict<'f>,
}

impl<'de, R: FnMut(&str, Member<'_, 'de>) -> Result<(), Refused>> Visitor<'de> for Object<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut names = Names::new();
        let mut next = Next {
            map,
            strict: self.strict,
        };
        while let Some(name) = next.map.next_key_seed(Text)? {
            names.add(name.clone(), self.strict)?;
            (self.read)(&name, Member(&mut next)).map_err(|Refused| A::Error::custom("refused"))?;
        }
        Ok(())
    }
}

/// Reads a string without copying it, and any other value as [`Strict`] does.
#[derive(Clone, Copy)]
struct TextFirst<'f>(Strict<'f>);

impl<'de> DeserializeSeed<'de> for TextFirst<'_> {
    type Value = TextOrAny<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TextOrAny<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextFirst<'_> {
    type Value = TextOrAny<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<TextOrAny<'de>, E> {
        Ok(TextOrAny::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<TextOrAny<'de>, E> {
        Ok(TextOrAny::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<TextOrAny<'de>, E> {
        self.0.visit_unit().map(TextOrAny::Any)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<TextOrAny<'de>, E> {
        self.0.visit_bool(value).map(TextOrAny::Any)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<TextOrAny<'de>, E> {
        self.0.visit_u64(value).map(TextOrAny::Any)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<TextOrAny<'de>, E> {
        self.0.visit_i64(value).map(TextOrAny::Any)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<TextOrAny<'de>, E> {
        self.0.visit_f64(value).map(TextOrAny::Any)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<TextOrAny<'de>, A::Error> {
        self.0.visit_seq(items).map(TextOrAny::Any)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<TextOrAny<'de>, A::Error> {
        self.0.visit_map(members).map(TextOrAny::Any)
    }
}

/// Reads any value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Skip<'f>(Strict<'f>);

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        // The parser refuses what is not finite.
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = Self(self.0.inside()?);
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = Self(self.0.inside()?);
        let mut names = Names::new();
        while let Some(name) = map.next_key_seed(Text)? {
            names.add(name, self.0)?;
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// As many names as tokens have.
const FEW: usize = 20;

/// The names of one object so far. A few, without escapes, are kept on the stack; many, which only an attacker sends, are
/// hashed.
struct Names<'de> {
    few: [&'de str; FEW],
    used: usize,
    /// One bit for each name among the few. A name whose bit is not set is new.
    seen: u64,
    others: Option<HashSet<Cow<'de, str>>>,
}

impl<'de> Names<'de> {
    fn new() -> Self {
        Self {
            few: [""; FEW],
            used: 0,
            seen: 0,
            others: None,
        }
    }

    /// Remembers a name, unless it is there already or may be none.
    fn add<E: serde::de::Error>(&mut self, name: Cow<'de, str>, strict: Strict<'_>) -> Result<(), E> {
        // A NUL can only be written with an escape, and what is escaped is owned.
        if matches!(&name, Cow::Owned(text) if text.contains('\0')) {
            return Err(strict.refuse(JoseError::Malformed));
        }
        let bit = bit_of(&name);
        let is_known = self.seen & bit != 0 && self.few.iter().take(self.used).any(|known| *known == name);
        let is_new = match (&name, self.few.get_mut(self.used)) {
            _ if is_known => false,
            (Cow::Borrowed(text), Some(place)) if self.others.is_none() => {
                *place = text;
                self.used += 1;
                self.seen |= bit;
                true
            }
            _ => self.others.get_or_insert_default().insert(name),
        };
        if is_new {
            Ok(())
        } else {
            Err(strict.refuse(JoseError::DuplicateMember))
        }
    }
}

/// One of 64 bits, by the ends of a name and its length.
fn bit_of(name: &str) -> u64 {
    let end = |byte: Option<u8>| byte.map_or(0, usize::from);
    let sum = name.len() * 7 + end(name.bytes().next()) * 5 + end(name.bytes().next_back());
    1 << (sum % 64)
}
